"""What can be named after "@": files of the workspace, and definitions that its index has."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from localagent.index.store import Store, index_file
from localagent.ui.chat.interface import Completion
from localagent.workspace.workspace import Workspace

MOST = 30
"""Of each kind."""


def mentions(workspace: Workspace, text: str) -> Sequence[Completion]:
    """How `text` can go on: files that begin with it, definitions whose names do, and files that
    hold it, also in other case. May be called from any thread."""
    files = workspace.files()
    begun = [name for name in files if name.startswith(text)]
    low = text.lower()
    inside = [name for name in files if low in name.lower() and not name.startswith(text)]
    return [
        *(Completion(name, "file") for name in begun[:MOST]),
        *_definitions(workspace, text),
        *(Completion(name, "file") for name in inside[:MOST]),
    ]


def _definitions(workspace: Workspace, text: str) -> list[Completion]:
    file = index_file(workspace.root)
    if not text or "/" in text or not file.exists():
        return []
    try:
        with Store(file, workspace.root) as store:
            found = store.begun(text, MOST)
    except (OSError, sqlite3.Error):
        return []  # it is being made anew, or cannot be read
    return [Completion(one.name, f"{one.kind}, {one.path}:{one.line}") for one in found]
