"""Builds an index and brings it up to date, with several processes if many files changed.

Only the calling process writes the index; reader processes (`workers`) read and parse files. An
interrupted build resumes at the first unfinished file, because finished files are in the store.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.code.file_kinds import is_data, is_docs, is_test, is_vendored, may_be_text
from localagent.core.errors import OutsideWorkspace
from localagent.index.digest import MAX_BYTES, Entry, FileStat
from localagent.index.store import Known, Store, drop, remove_orphans
from localagent.index.workers import Readers
from localagent.models.llamacpp.hardware import processors
from localagent.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between disk and index: `changed` and new files, the most useful first.

    `deleted` are the files to remove from the index. `hidden` are the deleted files that still
    exist on disk, but that the model may no longer read. `files` are all files that the model may
    read, sorted.
    """

    changed: tuple[FileStat, ...]
    deleted: tuple[str, ...]
    hidden: tuple[str, ...]
    files: tuple[str, ...]


def changes(workspace: Workspace, known: Mapping[str, Known]) -> Changes:
    """Compare the workspace's files with the index by modification time and size."""
    files = list_files(workspace)
    changed = [file for file in files if not is_unchanged(file, known.get(file.path))]
    names = tuple(file.path for file in files)
    there = set(names)
    deleted = tuple(path for path in known if path not in there)
    hidden = tuple(path for path in deleted if os.path.lexists(f"{workspace.root}/{path}"))
    return Changes(tuple(sorted(changed, key=_order)), deleted, hidden, names)


def list_files(workspace: Workspace) -> list[FileStat]:
    """All files that may be text and that the model may read."""
    found = (stat_file(workspace, path) for path in workspace.files())
    return [file for file in found if file is not None]


def stat_file(workspace: Workspace, path: str) -> FileStat | None:
    """A file's state on disk; None if it is missing, not a regular file, or not text."""
    if not may_be_text(path):
        return None
    try:
        status = os.stat(f"{workspace.root}/{path}", follow_symlinks=False)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    regular = stat.S_ISREG(status.st_mode)
    return FileStat(path, status.st_mtime_ns, status.st_size) if regular else None


def is_unchanged(file: FileStat, known: Known | None) -> bool:
    """Whether a file's time and size equal those in the index."""
    return known is not None and (file.mtime, file.size) == (known.mtime, known.size)


def _order(file: FileStat) -> tuple[int, int]:
    """Sort key: code before tests, docs, data and vendored code; then the latest change first."""
    path = file.path
    kinds: Sequence[bool] = (is_test(path), is_docs(path), is_data(path), is_vendored(path))
    return sum(place * kind for place, kind in enumerate(kinds, 1)), -file.mtime


ALONE = 400
"""Most files that one process reads alone: starting other processes takes as long."""

_JOB_BYTES = 1 << 20  # bytes of source in one job, and in one transaction
_JOB_FILES = 64

Progress = Callable[[int, int], None]
"""Called with the number of finished files and the number of all files."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The number of files that were read, and of files whose content was unchanged.

    `files` are all files that the model may read, sorted.
    """

    read: int
    same: int
    files: tuple[str, ...]


def bring_up_to_date(
    file: Path,
    workspace: Workspace,
    progress: Progress = lambda _done, _total: None,
    processes: int = 0,
) -> tuple[Store, Summary]:
    """Open the index in `file`, and update it to match the files on disk.

    An index that is worn or damaged, or that holds words of hidden files, is rebuilt. With
    `processes` 0, each processor gets one process. Raises OSError and sqlite3.Error if the index
    cannot be written.
    """
    try:
        return _open_and_update(file, workspace, progress, processes)
    except sqlite3.OperationalError:
        raise  # the database is busy or the disk is full: the file itself is intact
    except sqlite3.DatabaseError:
        drop(file)
        return _open_and_update(file, workspace, progress, processes)


def _open_and_update(
    file: Path, workspace: Workspace, progress: Progress, processes: int
) -> tuple[Store, Summary]:
    store = Store(file, workspace.root)
    readers = Readers(workspace, processes or len(processors()))
    try:
        known = store.known()
        if not known:  # with a new index, also remove the indexes of deleted repositories
            readers.start()
            remove_orphans(file.parent)
        todo = changes(workspace, known)
        if todo.hidden or store.is_worn():
            store.clear()
            known = {}
            todo = changes(workspace, known)
        read_in = readers.read(_jobs(todo.changed), alone=len(todo.changed) <= ALONE)
        done = _carry_out(store, known, todo, read_in, progress)
        store.follow_history()
        return store, done
    except BaseException:
        store.close()
        raise
    finally:
        readers.close()


def update(
    store: Store,
    workspace: Workspace,
    known: Mapping[str, Known],
    paths: Iterable[str],
    readers: Readers,
) -> tuple[list[FileStat], list[str]]:
    """Update the index for these `paths`; return the changed and the deleted files.

    `known` is the state of the files in the index. The caller must check that no ignore rule
    changed. Raises sqlite3.Error if the index cannot be written.
    """
    changed: list[FileStat] = []
    deleted: list[str] = []
    for path in paths:
        file = stat_file(workspace, path) if path in known or not _hidden(workspace, path) else None
        if file is None and path in known:
            deleted.append(path)
        elif file is not None and not is_unchanged(file, known.get(path)):
            changed.append(file)
    if deleted:
        store.remove(deleted)
    for entries in readers.read(_jobs(changed)):
        _store_entries(store, known, entries)
    return changed, deleted


def _hidden(workspace: Workspace, path: str) -> bool:
    try:
        return workspace.relative(path) != path or workspace.ignored(path)
    except OutsideWorkspace:
        return True


def _carry_out(
    store: Store,
    known: Mapping[str, Known],
    todo: Changes,
    read_in: Iterable[Sequence[Entry]],
    progress: Progress,
) -> Summary:
    if todo.deleted:
        store.remove(todo.deleted)
    read = same = 0
    progress(0, len(todo.changed))
    for entries in read_in:
        fresh, touched = _store_entries(store, known, entries)
        read, same = read + fresh, same + touched
        progress(read + same, len(todo.changed))
    return Summary(read, same, todo.files)


def _store_entries(
    store: Store, known: Mapping[str, Known], entries: Sequence[Entry]
) -> tuple[int, int]:
    """Store files; return how many have new content, and how many only a new time."""
    fresh: list[Entry] = []
    touched: list[Entry] = []
    for entry in entries:
        (touched if _equal(entry, known.get(entry.path)) else fresh).append(entry)
    store.add(fresh, touched)
    return len(fresh), len(touched)


def _equal(entry: Entry, known: Known | None) -> bool:
    """Whether the content is unchanged; files that were not read whole are compared by size."""
    return (
        known is not None
        and (entry.digest.hash, entry.digest.kind) == (known.hash, known.kind)
        and (known.kind != "big" or entry.size == known.size)
    )


def _jobs(files: Sequence[FileStat]) -> Iterator[list[FileStat]]:
    """Files in groups of similar size; the first groups are small, so that search starts soon."""
    job: list[FileStat] = []
    size, limit = 0, _JOB_BYTES // 8
    for file in files:
        job.append(file)
        size += min(file.size, MAX_BYTES)
        if size >= limit or len(job) >= _JOB_FILES:
            yield job
            job, size, limit = [], 0, min(_JOB_BYTES, 2 * limit)
    if job:
        yield job
