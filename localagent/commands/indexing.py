"""An index for a command: with its progress on the terminal, and its errors in plain words."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from localagent.errors import WorkspaceError
from localagent.index.disk import DiskIndex
from localagent.workspace import Workspace

_MANY = 500  # files from which on progress is shown


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[DiskIndex]:
    """The index of the workspace at `directory`. Raises WorkspaceError where it cannot be made."""
    workspace = Workspace.open(directory)
    try:
        with DiskIndex(workspace, progress=_show) as index:
            yield index
    except (OSError, sqlite3.Error) as error:
        raise WorkspaceError(
            f"the index of {workspace.root} cannot be written: {error}",
            "make room on the disk, or name another place with XDG_CACHE_HOME",
        ) from error


def _show(done: int, total: int) -> None:
    if total < _MANY or not sys.stderr.isatty():
        return
    end = "\r\x1b[K" if done >= total else ""
    sys.stderr.write(f"\rreading {done:,} of {total:,} files\x1b[K{end}")
    sys.stderr.flush()
