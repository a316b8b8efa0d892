"""Append-only files of JSON records, one per line, that survive `kill -9` and a full disk.

A process that is killed while it writes leaves at most a torn last line. `read` counts a torn line
as damaged. `Appender` starts a new line after a torn line, so no later record is lost.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.core.locks import BUSY, lock_now


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a file in order. `damaged` counts the lines that are not a JSON object."""

    records: list[dict[str, Any]]
    damaged: int


_LOCK_SECONDS = 3.0


class InUse(Exception):
    """Another writer has the file open with `alone`."""


class Appender:
    """A file open for appending records. A new file gets the mode 0600; its folder must exist.

    Only one writer at a time can open a file with `alone`, except on file systems without locks.
    The constructor waits a few seconds for the lock, because the children of a killed process may
    hold it for a moment.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """Open `path`. Raises OSError, and InUse if another writer has it open with `alone`."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        if alone and not _locked_soon(self._fd):
            self.close()
            raise InUse(path)
        size = os.fstat(self._fd).st_size
        if size:
            os.lseek(self._fd, size - 1, os.SEEK_SET)
            if os.read(self._fd, 1) != b"\n":
                write_whole(self._fd, b"\n")

    def append(self, record: dict[str, Any], *, sync: bool = False) -> None:
        """Write one record as one line. With `sync`, wait until the line is on disk.

        Raises OSError; a failed write leaves no part of the line in the file.
        """
        write_whole(self._fd, _line(record))
        if sync:
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def write_whole(fd: int, data: bytes) -> None:
    """Append all of `data`, or nothing if a write fails. Raises OSError."""
    size = os.fstat(fd).st_size
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.ftruncate(fd, size)
        raise


def in_use(path: Path) -> bool:
    """Whether a writer in any process has `path` open with `alone`."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked_soon(fd: int) -> bool:
    until = time.monotonic() + _LOCK_SECONDS
    while not (locked := _locked(fd)) and time.monotonic() < until:
        time.sleep(0.05)
    return locked


def _locked(descriptor: int) -> bool:
    """Lock an open file. Returns False if another process holds the lock."""
    try:
        lock_now(descriptor)
    except OSError as error:
        return error.errno not in BUSY  # any other error: the file system has no locks
    return True


def read(path: Path) -> Records:
    """All records of `path`; none for a missing file. Raises OSError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Records([], 0)
    records: list[dict[str, Any]] = []
    damaged = 0
    for line in data.split(b"\n"):
        if not line:
            continue
        record = parse(line)
        if record is None:
            damaged += 1
        else:
            records.append(record)
    return Records(records, damaged)


def parse(line: bytes) -> dict[str, Any] | None:
    """The record of one line; None for a line that is not a JSON object."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _line(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        # A file name that is not UTF-8 has lone surrogates; JSON can only hold them escaped.
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"
