"""Files on disk that differ from the index."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localagent.code.file_kinds import is_data, is_docs, is_test, is_vendored, may_be_text
from localagent.index.digest import FileStat
from localagent.index.store import Known
from localagent.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences of disk and index: `changed` and new files, the most useful first.

    `deleted` are files to remove from the index. `hidden` are those of them that still exist, but
    that the model may not see any more. `files` are all that it may see, sorted.
    """

    changed: tuple[FileStat, ...]
    deleted: tuple[str, ...]
    hidden: tuple[str, ...]
    files: tuple[str, ...]


def changes(workspace: Workspace, known: Mapping[str, Known]) -> Changes:
    """Compare the workspace's files with the known ones by time and size."""
    files = list_files(workspace)
    changed = [file for file in files if not is_unchanged(file, known.get(file.path))]
    names = tuple(file.path for file in files)
    there = set(names)
    deleted = tuple(path for path in known if path not in there)
    hidden = tuple(path for path in deleted if os.path.lexists(f"{workspace.root}/{path}"))
    return Changes(tuple(sorted(changed, key=_order)), deleted, hidden, names)


def list_files(workspace: Workspace) -> list[FileStat]:
    """All files that may be text and that the model may see."""
    found = (stat_file(workspace, path) for path in workspace.files())
    return [file for file in found if file is not None]


def stat_file(workspace: Workspace, path: str) -> FileStat | None:
    """A file's state on disk; None where it is missing, not a regular file, or not text."""
    if not may_be_text(path):
        return None
    try:
        status = os.stat(f"{workspace.root}/{path}", follow_symlinks=False)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    regular = stat.S_ISREG(status.st_mode)
    return FileStat(path, status.st_mtime_ns, status.st_size) if regular else None


def is_unchanged(file: FileStat, known: Known | None) -> bool:
    """Whether time and size equal those in the index."""
    return known is not None and (file.mtime, file.size) == (known.mtime, known.size)


def _order(file: FileStat) -> tuple[int, int]:
    """Code before tests, docs, data and vendored code; the latest change first."""
    path = file.path
    kinds: Sequence[bool] = (is_test(path), is_docs(path), is_data(path), is_vendored(path))
    return sum(place * kind for place, kind in enumerate(kinds, 1)), -file.mtime
