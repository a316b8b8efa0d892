"""The tasks of a batch: a file with one JSON object a line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from localagent.core.errors import UsageError

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "max_seconds": (int, float),
    "max_tokens": int,
    "seed": int,
}


@dataclass(frozen=True, slots=True)
class BatchTask:
    """One task. `repository` is a folder, with or without git.

    `id` names the task's folder of results. The other fields are options of `localagent ci`; an
    empty text or None means the option's default.
    """

    id: str
    task: str
    repository: Path
    check: str = ""
    model: str = ""
    planner: str = ""
    mode: str = ""
    sandbox: str = ""
    scripted: str = ""
    max_seconds: float | None = None
    max_tokens: int | None = None
    seed: int = 0

    def options(self) -> list[str]:
        """The options of `localagent ci` for this task, and the task as the last word."""
        words = []
        names = ("check", "model", "planner", "mode", "sandbox", "scripted")
        for name in (*names, "max_seconds", "max_tokens", "seed"):
            value = getattr(self, name)
            if value not in ("", None):
                words.append(f"--{name.replace('_', '-')}={value}")
        return [*words, "--", self.task]


def read_tasks(path: Path) -> list[BatchTask]:
    """Read the tasks of a file. Relative paths in it start at its folder.

    Raises UsageError for an unreadable file, and for a task that is malformed, repeats an id, or
    names no folder; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    tasks: dict[str, BatchTask] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            task = _task(line, number, path.absolute().parent)
        except ValueError as error:
            raise UsageError(f"{path}:{number}: {error}", "see: localagent docs batch") from None
        if task.id in tasks:
            raise UsageError(f"{path}:{number}: the id {task.id!r} occurs twice")
        tasks[task.id] = task
    if not tasks:
        raise UsageError(f"{path} holds no task", "see: localagent docs batch")
    return list(tasks.values())


def _task(line: str, number: int, folder: Path) -> BatchTask:
    """The task of one line. Raises ValueError."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("the line is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError("the line is not a JSON object")
    known = {field.name for field in fields(BatchTask)}
    if unknown := sorted(set(data) - known):
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(sorted(known))}")
    values: dict[str, Any] = {"id": f"{number:04d}", **data}
    for key, value in values.items():
        kind = _KINDS.get(key, str)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{key} has the wrong type: {value!r}")
    if not _ID.fullmatch(values["id"]):
        raise ValueError(f"the id {values['id']!r} is not a name of letters, digits, - _ and .")
    for key in ("task", "repository"):
        if not values.get(key, "").strip():
            raise ValueError(f"{key} is missing")
    values["repository"] = folder / Path(values["repository"]).expanduser()
    if not values["repository"].is_dir():
        raise ValueError(f"there is no folder {values['repository']}")
    if values.get("scripted"):
        values["scripted"] = str(folder / values["scripted"])
    return BatchTask(**values)
