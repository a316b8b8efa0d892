"""What was entered, kept for each workspace, readable by its owner alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from localagent.core.paths import private, state_dir

MAX_BYTES = 1 << 20
_LONGEST = 20_000  # characters; a longer text was pasted, and is in the transcript


class WorkspaceHistory(FileHistory):
    """A `FileHistory` that keeps no long texts, nothing twice in a row, and goes on in memory where
    the file cannot be written."""

    def append_string(self, string: str) -> None:
        """Keep one entry."""
        if string.strip() and (not self._loaded_strings or self._loaded_strings[0] != string):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write one entry."""
        if len(string) <= _LONGEST:
            try:
                super().store_string(string)
            except OSError:
                return


def open_history(workspace: Path) -> History:
    """The history of a workspace; in memory where its folder cannot be made."""
    path = history_file(workspace)
    try:
        private(path.parent)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            _shorten(path)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return WorkspaceHistory(str(path))


def history_file(workspace: Path) -> Path:
    """Where the history of a workspace lies."""
    name = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:16]
    return state_dir() / "history" / f"{name}.txt"


def _shorten(path: Path) -> None:
    """Keep the newer half; an entry begins with a line "# date"."""
    data = path.read_bytes()[-MAX_BYTES // 2 :]
    start = data.find(b"\n# ")
    path.write_bytes(data[start + 1 :] if start >= 0 else b"")
