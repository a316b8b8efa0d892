"""An index for a command: with its progress on the terminal, and its errors in plain words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from localagent.cli.progress import ProgressLine
from localagent.core.errors import WorkspaceError
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace


@contextlib.contextmanager
def opened(workspace: Workspace, patience: float | None = None) -> Iterator[DiskIndex]:
    """The index of a workspace; with what is there after `patience` seconds. Raises WorkspaceError
    where it cannot be made."""
    with (
        plain_errors(workspace),
        ProgressLine() as progress,
        DiskIndex(workspace, progress=progress.files, patience=patience) as index,
    ):
        index.files()  # so that it is brought up to date, and the progress line is gone
        progress.clear()
        yield index


@contextlib.contextmanager
def plain_errors(workspace: Workspace) -> Iterator[None]:
    """Raise WorkspaceError for what goes wrong with the file of the workspace's index."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WorkspaceError(
            f"the index of {workspace.root} cannot be used: {error}",
            "make room on the disk, name another place with XDG_CACHE_HOME, or remove it with"
            " localagent index drop: it is made again",
        ) from error
