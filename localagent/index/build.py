"""Bringing an index up to date: what changed is read, in several processes where it is much.

The one writer is this process; others (`reading`) read files and compute. An interrupted build
goes on where it stopped, since what is done is in the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import OutsideWorkspace
from localagent.index.digest import MAX_BYTES, Entry, Listed
from localagent.index.scan import Changes, changes, same, there
from localagent.index.store import Known, Store, drop, remove_gone
from localagent.index.workers import Readers
from localagent.models.llamacpp.hardware import processors
from localagent.workspace.workspace import Workspace

ALONE = 400
"""Files up to which one process reads: to start more takes as long as reading so many."""

_JOB_BYTES = 1 << 20  # of source in one job, and in one transaction
_JOB_FILES = 64

Progress = Callable[[int, int], None]
"""Told how many files are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was done: how many files were read, and found to be the same after all; `files` are all
    that may be shown, sorted."""

    read: int
    same: int
    files: tuple[str, ...]


def bring_up_to_date(
    file: Path,
    workspace: Workspace,
    progress: Progress = lambda _done, _total: None,
    processes: int = 0,
) -> tuple[Store, Summary]:
    """Open the index in `file` and make it equal to what is on disk.

    It is made from nothing where it is worn, damaged, or holds words of files that must not be
    shown any more. `processes` 0: as many as there are processors. Raises OSError and sqlite3.Error
    where the index cannot be written.
    """
    try:
        return _brought_up_to_date(file, workspace, progress, processes)
    except sqlite3.OperationalError:
        raise  # busy, or no room: nothing is wrong with the file
    except sqlite3.DatabaseError:
        drop(file)
        return _brought_up_to_date(file, workspace, progress, processes)


def _brought_up_to_date(
    file: Path, workspace: Workspace, progress: Progress, processes: int
) -> tuple[Store, Summary]:
    store = Store(file, workspace.root)
    readers = Readers(workspace, processes or len(processors()))
    try:
        known = store.known()
        if not known:  # a new one: the time to look for those that nobody needs
            readers.start()
            remove_gone(file.parent)
        todo = changes(workspace, known)
        if todo.hidden or store.worn():
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
) -> tuple[list[Listed], list[str]]:
    """Make the index equal to what is on disk for these `paths` alone: of what was put in, and of
    what is gone, this tells.

    `known` is what the index has. Whoever asks sees to it that no rule on what may be shown was
    changed. Raises sqlite3.Error where the index cannot be written.
    """
    changed: list[Listed] = []
    gone: list[str] = []
    for path in paths:
        file = there(workspace, path) if path in known or not _hidden(workspace, path) else None
        if file is None and path in known:
            gone.append(path)
        elif file is not None and not same(file, known.get(path)):
            changed.append(file)
    if gone:
        store.remove(gone)
    for entries in readers.read(_jobs(changed)):
        _put(store, known, entries)
    return changed, gone


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
    if todo.gone:
        store.remove(todo.gone)
    read = same = 0
    progress(0, len(todo.changed))
    for entries in read_in:
        fresh, touched = _put(store, known, entries)
        read, same = read + fresh, same + touched
        progress(read + same, len(todo.changed))
    return Summary(read, same, todo.files)


def _put(store: Store, known: Mapping[str, Known], entries: Sequence[Entry]) -> tuple[int, int]:
    """Put files in; how many are others than before, and how many were only touched."""
    fresh: list[Entry] = []
    touched: list[Entry] = []
    for entry in entries:
        (touched if _equal(entry, known.get(entry.path)) else fresh).append(entry)
    store.put(fresh, touched)
    return len(fresh), len(touched)


def _equal(entry: Entry, known: Known | None) -> bool:
    """Whether a file's content is what it was; a big one is compared by its size as well."""
    return (
        known is not None
        and (entry.digest.hash, entry.digest.kind) == (known.hash, known.kind)
        and (known.kind != "big" or entry.size == known.size)
    )


def _jobs(files: Sequence[Listed]) -> Iterator[list[Listed]]:
    """Files in groups of about the same size; the first ones are small, to be searched soon."""
    job: list[Listed] = []
    size, limit = 0, _JOB_BYTES // 8
    for file in files:
        job.append(file)
        size += min(file.size, MAX_BYTES)
        if size >= limit or len(job) >= _JOB_FILES:
            yield job
            job, size, limit = [], 0, min(_JOB_BYTES, 2 * limit)
    if job:
        yield job
