"""Append-only files of JSON records, one a line, that survive `kill -9` and a full disk.

A process that is killed while it writes leaves at most one torn line, the last. `read` skips it
and says so; `append` starts on a fresh line after it, so that no later record is lost.
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
    """What a file holds, in order; `damaged` counts lines that are torn or no JSON object."""

    records: list[dict[str, Any]]
    damaged: int


_PATIENCE = 3.0  # seconds


class InUse(Exception):
    """A file is open elsewhere for that one writer alone."""


class Appender:
    """A file that records are appended to. It is made with mode 0600; its folder must exist.

    With `alone`, nobody else can open it so while this one is open; where the file system has no
    locks this is not held. The children of a process that was killed may hold it a moment longer,
    so it is waited for.
    """

    def __init__(self, path: Path, *, alone: bool = False) -> None:
        """Open `path` for appending. Raises OSError, and InUse where somebody has it alone."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
        if alone and not _locked_soon(self._fd):
            self.close()
            raise InUse(path)
        size = os.fstat(self._fd).st_size
        if size:
            os.lseek(self._fd, size - 1, os.SEEK_SET)
            if os.read(self._fd, 1) != b"\n":
                self._write(b"\n")

    def append(self, record: dict[str, Any], *, sync: bool = False) -> None:
        """Write one record as one line, and with `sync` wait until it is on the disk.

        Raises OSError; the file then holds what it held before.
        """
        self._write(_line(record))
        if sync:
            os.fsync(self._fd)

    def _write(self, data: bytes) -> None:
        """One write() in all but name: it is repeated only where the kernel took a part."""
        before = os.fstat(self._fd).st_size
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, before)
            raise

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Appender:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def in_use(path: Path) -> bool:
    """Whether somebody, also of this process, has `path` open for himself alone."""
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked_soon(fd: int) -> bool:
    until = time.monotonic() + _PATIENCE
    while not (locked := _locked(fd)) and time.monotonic() < until:
        time.sleep(0.05)
    return locked


def _locked(descriptor: int) -> bool:
    """Lock an open file; False where somebody else holds it."""
    try:
        lock_now(descriptor)
    except OSError as error:
        return error.errno not in BUSY  # no locks there
    return True


def read(path: Path) -> Records:
    """All records of `path`; of a file that does not exist, none. Raises OSError."""
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
    """The record of one line, or None where the line is torn."""
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
        # A file name that is not UTF-8 reaches us as lone surrogates; only the escaped form
        # carries these.
        return json.dumps(record, separators=(",", ":")).encode() + b"\n"
