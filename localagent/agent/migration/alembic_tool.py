"""The project's Alembic, run in snapshots: facts, trials of functions, operations, the check.

Nothing here changes the workspace or the user's database. Each call opens a snapshot, and in it the
database is a copy.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.agent.limits import MIGRATION
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.errors import ToolError
from localagent.core.events import Event, Step
from localagent.project.python_environment import check_variables
from localagent.sandbox.base import Command

PROGRAM = Path(__file__).resolve().parent / "program" / "localagent_migration.py"
MARK = "LOCALAGENT-MIGRATION "
CONFIG = "alembic.ini"
# The keys of the answer to each job.
_KEYS = {
    "facts": {"head", "rows", "distinct", "nullable", "keys", "tied", "samples", "drift"},
    "pairs": {"pairs"},
    "operations": {"up_first", "up_last", "down_first", "down_last"},
    "check": {"fault"},
}


@dataclass(frozen=True, slots=True)
class AlembicTool:
    """Alembic in the folder of `config`, which is relative to the workspace."""

    turn: Turn
    config: str

    def ask(self, job: str, changes: Sequence[Change] = (), **given: Any) -> dict[str, Any]:
        """The program's answer to a job, in a snapshot with `changes`. Raises ToolError."""
        folder, _, name = self.config.rpartition("/")
        variables = {"LOCALAGENT_MIGRATION": json.dumps({"config": name, **given})}
        line = f"python {shlex.quote(str(PROGRAM))} {job}"
        output, _ = self._run(line, folder, changes, variables)
        return read_answer(output, job)

    def revision(self, message: str) -> Generator[Event, None, Change]:
        """The new revision that `alembic revision` makes. Raises ToolError."""
        folder, _, name = self.config.rpartition("/")
        line = f"python -m alembic -c {shlex.quote(name)} revision -m {shlex.quote(message)}"
        yield Step("migrate", f"alembic revision -m {shlex.quote(message)}")
        output, changes = self._run(line, folder, (), {})
        made = [c for c in changes if c.kind == "file" and c.path.endswith(".py")]
        if len(made) != 1:
            tail = (output.strip().splitlines() or ["no output"])[-1]
            raise ToolError(f"alembic made no revision: {tail[:200]}")
        return made[0]

    def _run(
        self, line: str, folder: str, changes: Sequence[Change], variables: dict[str, str]
    ) -> tuple[str, tuple[Change, ...]]:
        turn = self.turn
        turn.ensure_within_limits()
        root, left = turn.services.workspace.root, turn.seconds_left()
        seconds = MIGRATION.seconds if left is None else max(1.0, min(MIGRATION.seconds, left))
        variables = {**check_variables(root), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        with turn.services.sandbox.open(root, changes) as snapshot:
            command = Command(line, folder or ".", seconds, env=variables)
            done = snapshot.run(command, cancelled=turn.stop.is_set)
            turn.ensure_within_limits()
            return done.output, snapshot.changes()


def read_answer(output: str, job: str) -> dict[str, Any]:
    """The program's answer to `job` in its output. Raises ToolError.

    The project's own code runs in the same process, and may print a line that looks like an answer.
    """
    answer = next((each for each in reversed(output.splitlines()) if each.startswith(MARK)), "")
    if not answer:
        tail = (output.strip().splitlines() or ["no output"])[-1]
        raise ToolError(f"alembic could not run: {tail[:200]}")
    try:
        data: Any = json.loads(answer[len(MARK) :])
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and "error" in data:
        raise ToolError(str(data["error"])[:200])
    if not isinstance(data, dict) or not _KEYS[job] <= data.keys():
        raise ToolError("alembic could not run: the project's code printed another answer")
    return data
