"""Completions after "@": files of the workspace, and definitions of its index."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Sequence

from localagent.core.errors import OutsideWorkspace
from localagent.index.store import Store, index_file
from localagent.ui.chat.interface import Completion
from localagent.workspace.workspace import Workspace

MAX_COMPLETIONS = 30
"""Number of completions of each kind."""

_SIMILAR = 0.75
"""Least similarity of a file whose name may have been meant; below it, a suffix alone is alike."""

_PATH = re.compile(r"(?:^|(?<=\s))@(?P<path>[\w./+-]*[/.][\w./+-]*\w)")


def mentions(workspace: Workspace, text: str) -> Sequence[Completion]:
    """Complete `text`: files and definitions that begin with it, then files that contain it.

    The beginning of a name must match in case; elsewhere, case is ignored. Thread-safe.
    """
    files = workspace.files()
    starts = [name for name in files if name.startswith(text)]
    low = text.lower()
    inside = [name for name in files if low in name.lower() and not name.startswith(text)]
    return [
        *(Completion(name, "file") for name in starts[:MAX_COMPLETIONS]),
        *_definitions(workspace, text),
        *(Completion(name, "file") for name in inside[:MAX_COMPLETIONS]),
    ]


def missing_mentions(workspace: Workspace, text: str) -> str:
    """Return a warning about files that are named with "@" and do not exist, or ""."""
    if "@" not in text:
        return ""
    files = workspace.files()
    for spaced in (file for file in files if " " in file):
        text = text.replace(f"@{spaced}", " ")
    missing = [path for path in _PATH.findall(text) if not _exists(workspace, path)]
    if not missing:
        return ""
    names = {path.rsplit("/", 1)[-1]: path for path in reversed(files)}
    near = difflib.get_close_matches(missing[0], files, 1, _SIMILAR)
    near += [names[name] for name in difflib.get_close_matches(missing[0], names, 1, _SIMILAR)]
    meant = f"; did you mean @{near[0]}?" if near else ""
    return f"there is no file {', '.join(missing)}{meant}"


def _exists(workspace: Workspace, path: str) -> bool:
    """Return whether `path` is a file or folder, or the name of a definition with dots."""
    try:
        return workspace.path(path).exists() or bool(_definitions(workspace, path))
    except (OSError, OutsideWorkspace):
        return False


def _definitions(workspace: Workspace, text: str) -> list[Completion]:
    file = index_file(workspace.root)
    if not text or "/" in text or not file.exists():
        return []
    try:
        with Store(file, workspace.root) as store:
            matches = store.with_prefix(text, MAX_COMPLETIONS)
    except (OSError, sqlite3.Error):
        return []  # the index is being rebuilt, or unreadable
    return [Completion(one.name, f"{one.kind}, {one.path}:{one.line}") for one in matches]
