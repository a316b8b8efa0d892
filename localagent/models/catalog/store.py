"""The model folder: installing and removing the files that the lock pins."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localagent.core.errors import UsageError
from localagent.core.paths import models_dir, private
from localagent.models.catalog.download import (
    Meter,
    OnProgress,
    Partial,
    Pieces,
    no_space,
    space_error,
)
from localagent.models.catalog.lock import ModelEntry
from localagent.models.catalog.verification import fingerprint, path_for, record

# Kept free besides what a file needs, so that the machine goes on working. Bytes.
_RESERVE = 64 << 20


def install(entry: ModelEntry, pieces: Pieces, report: OnProgress | None = None) -> Path:
    """Assemble the model's file from `pieces`, verify it, and return its path.

    Resumes an earlier run. Does nothing for an installed file that is the pinned one. Raises
    ModelFileError for a source or a file with other bytes. Raises UsageError for a full disk and
    for a model that another process installs, and the errors of `pieces`.
    """
    target = models_dir() / entry.file
    try:
        private(target.parent)
        with _alone(entry):
            if target.exists():
                return path_for(entry, report=report)
            return _assemble(entry, target, pieces, report)
    except OSError as error:
        if no_space(error):
            free = shutil.disk_usage(target.parent).free
            raise space_error(target.parent, _needed(entry, pieces, target), free) from error
        raise UsageError(f"cannot write in {target.parent}: {error.strerror or error}") from error


def remove(entry: ModelEntry) -> int:
    """Remove the model's file and its unfinished download from the model folder.

    Returns the freed bytes. A file that is pinned in place stays.
    """
    target = models_dir() / entry.file
    freed = 0
    for name in (target.name, target.name + ".partial", target.name + ".partial.json"):
        path = target.with_name(name)
        if path.is_file():
            freed += path.stat().st_size
            path.chmod(0o600)  # Windows does not remove a read-only file
            path.unlink()
    record(target, None)
    return freed


def _assemble(entry: ModelEntry, target: Path, pieces: Pieces, report: OnProgress | None) -> Path:
    needed, free = _needed(entry, pieces, target), shutil.disk_usage(target.parent).free
    if free < needed + _RESERVE:
        raise space_error(target.parent, needed + _RESERVE, free)
    unfinished = Partial(target, entry.bytes, entry.sha256, pieces.label)
    first = unfinished.resume(report)
    meter = Meter(pieces.phase, entry.bytes, report)
    meter.at(unfinished.done)
    with _scratch(target.parent / f".fetch-{entry.id}") as folder:
        for number in range(first, pieces.count):
            received = meter.after(unfinished.done)
            with pieces.open(number, folder, received) as piece:
                unfinished.append(piece, meter.at)
    path = unfinished.finish()
    record(path, fingerprint(path.stat(), entry.sha256))
    return path


def _needed(entry: ModelEntry, pieces: Pieces, target: Path) -> int:
    partial = target.with_name(target.name + ".partial")
    there = partial.stat().st_size if partial.is_file() else 0
    return max(0, entry.bytes - there) + pieces.extra_bytes


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder for a while; files of a killed run are removed first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(entry: ModelEntry) -> Iterator[None]:
    """Hold the lock for the installation of this model; the system frees it with the process."""
    path = models_dir() / f".{entry.id}.lock"
    with path.open("ab") as stream:
        try:
            _lock(stream.fileno())
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise
            raise UsageError(
                f"another process is fetching {entry.id}", "wait until it is done"
            ) from error
        yield


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
