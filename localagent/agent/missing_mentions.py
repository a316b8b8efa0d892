"""Files that a task names with "@" and that do not exist."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Sequence

from localagent.core.errors import OutsideWorkspace
from localagent.index.store import Store, index_file
from localagent.workspace.workspace import Workspace

_SIMILAR = 0.75
"""Least similarity of a file whose name may have been meant; below it, a suffix alone is alike."""

_PATH = re.compile(r"(?:^|(?<=\s))@(?P<path>[\w./+-]*[/.][\w./+-]*\w)")


def missing_mentions(workspace: Workspace, files: Sequence[str], text: str) -> str:
    """Return a warning about files that `text` names with "@" and that do not exist, or ""."""
    if "@" not in text:
        return ""
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
        return workspace.path(path).exists() or _is_definition(workspace, path)
    except (OSError, OutsideWorkspace):
        return False


def _is_definition(workspace: Workspace, name: str) -> bool:
    file = index_file(workspace.root)
    try:
        if not file.exists():
            return False
        with Store(file, workspace.root) as store:
            return bool(store.with_prefix(name, 1))
    except (OSError, sqlite3.Error):
        return False  # the index is being rebuilt, or unreadable
