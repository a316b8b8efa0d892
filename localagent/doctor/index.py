"""The index of the workspace, and whether changes of its files are heard."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from localagent.doctor.report import Part, Problem
from localagent.index.store import index_file, peek
from localagent.index.watcher import Watcher, to_watch
from localagent.workspace.workspace import Workspace

_HINT = (
    "raise it (sysctl fs.inotify.max_user_watches=524288); until then changes are noticed at the"
    " start of each task only"
)


def index_part(workspace: Workspace) -> Part:
    """Whether there is an index, and whether the system lets its files be watched."""
    file = index_file(workspace.root)
    lines = [f"file: {file}", _size(file)]
    watched = to_watch(workspace.root, workspace.files())
    watcher = Watcher(workspace.root, watched, lambda _path: None)
    watcher.close()
    limits = _limits()
    told = ", ".join(f"{name} {value:,}" for name, value in limits.items())
    needed = f"{len(watched):,} {'is' if len(watched) == 1 else 'are'} needed here"
    limit = [f"watches: {told}; {needed}"] if limits else []
    data = {
        "file": str(file),
        "watched": len(watched),
        "limited": watcher.limited,
        "limits": limits,
    }
    if watcher.limited:
        problem = Problem(f"files cannot be watched: {watcher.limited}", _HINT, fatal=False)
        return Part("index", (*lines, *limit), (problem,), data)
    lines.append("changes are heard while a session lasts")
    return Part("index", (*lines, *limit), (), data)


def _limits() -> dict[str, int]:
    """What inotify gives one user; empty where there is none."""
    found = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            found[name] = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            continue
    return found


def _size(file: Path) -> str:
    """What is in the index; it is only looked at."""
    if not file.exists():
        return "not made yet; the first session or search makes it"
    try:
        counts = peek(file)
    except (OSError, sqlite3.Error) as error:
        return f"it cannot be read ({error}); the next session or search makes it anew"
    if counts is None:
        return "of another version of localagent; the next session or search makes it anew"
    return f"{counts.files:,} files, {counts.lines:,} lines"
