"""Completions after "@": files of the workspace, and definitions of its index."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from localagent.index.store import Store, index_file
from localagent.ui.chat.interface import Completion
from localagent.workspace.workspace import Workspace

MAX_COMPLETIONS = 30
"""Number of completions of each kind."""


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
