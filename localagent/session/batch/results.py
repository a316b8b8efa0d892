"""The folder of a batch: the result, patch and transcript of each task, and the list of results.

    DIR/results.jsonl          one line for each task that is done, in the order of the tasks
    DIR/ID/result.json         the same line; the task is done exactly if this file is there
    DIR/ID/change.patch        the change, as `git apply` reads it
    DIR/ID/events.ndjson       the transcript: the event stream of the task
    DIR/ID/log.txt             what `localagent ci` wrote
    DIR/ID/work                the copy of the repository, while the task runs

A file replaces its predecessor as a whole, so a kill at any moment leaves each of them complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from localagent.core.atomic import write_atomic
from localagent.core.errors import UsageError
from localagent.core.locks import BUSY, lock_now
from localagent.core.paths import private
from localagent.session.batch.tasks import BatchTask


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of one task. `base` is the commit that the copy was made from, or "".

    `commit` holds the change, if a branch was requested. `branch` is the branch's name once the
    branch exists; `branch_error` says why there is none. `runs` counts the starts of the process.
    """

    id: str
    task: str
    repository: str
    outcome: str
    exit_code: int
    summary: str
    check: str = ""
    changed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    model: str = ""
    session: str = ""
    base: str = ""
    branch: str = ""
    commit: str = ""
    branch_error: str = ""
    runs: int = 1

    def line(self) -> str:
        """The result as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True, slots=True)
class BatchFolder:
    """The folder with the results of a batch."""

    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock. Raises UsageError if another batch holds it."""
        try:
            private(self.path)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from None
        try:
            try:
                lock_now(descriptor)
            except OSError as error:
                if error.errno not in BUSY:
                    raise
                text = f"another batch works in {self.path}"
                raise UsageError(text, "wait for its end") from None
            yield
        finally:
            os.close(descriptor)

    def of(self, task: BatchTask) -> Path:
        """The folder of one task."""
        return self.path / task.id

    def result(self, task: BatchTask) -> TaskResult | None:
        """The result of a task that is done, or None. Raises UsageError for an unreadable file."""
        file = self.of(task) / "result.json"
        try:
            data = json.loads(file.read_bytes())
            known = {f.name: data[f.name] for f in fields(TaskResult) if f.name in data}
            return TaskResult(**known)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"cannot read {file}: {error}", "remove the task's folder") from None

    def results(self, tasks: Sequence[BatchTask]) -> list[TaskResult]:
        """The results so far, in the order of the tasks.

        Raises UsageError if a task has another text or repository than its result.
        """
        found = []
        for task in tasks:
            result = self.result(task)
            if result is None:
                continue
            if (result.task, result.repository) != (task.task, str(task.repository)):
                raise UsageError(
                    f"{self.of(task)} holds the result of another task",
                    "name another folder with --output, or remove this one",
                )
            found.append(result)
        return found

    def store(self, task: BatchTask, result: TaskResult) -> None:
        """Store the result of a task; from now on the task is done. Raises OSError."""
        write_atomic(self.of(task) / "result.json", result.line(), sync=True)

    def list_results(self, results: Iterable[TaskResult]) -> None:
        """Write results.jsonl. Raises OSError."""
        write_atomic(self.path / "results.jsonl", "".join(result.line() for result in results))


def read_stream(file: Path) -> dict[str, dict[str, Any]]:
    """The last event of each type in a stream, by type. A line that was cut off is left out."""
    last: dict[str, dict[str, Any]] = {}
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return last
    for line in lines:
        try:
            event = json.loads(line)
            last[event["type"]] = event
        except (ValueError, KeyError, TypeError):
            continue
    return last
