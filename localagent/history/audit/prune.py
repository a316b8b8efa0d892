"""Keep the audit log within its limits: delete the files of old sessions, and record each deletion.

Before localagent deletes a session's file, the head records the file's last hash and number of
records. `verify` can therefore tell a pruned file from a missing one. When the head is too long,
one base record with the last state of each session replaces the oldest records.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.core.clock import timestamp
from localagent.core.errors import WorkspaceError
from localagent.core.locks import locked
from localagent.history.audit.hash_chain import Link, append, end_of, open_chain, scan, seal
from localagent.history.audit.log import BASE, COMPACTED, HEAD, LOCK, PRUNED, TIP, audit_dir
from localagent.history.audit.verify import head_intact

# A head larger than this is shortened to half of this size. 6 MiB hold about 20,000 records.
HEAD_BYTES = 6 << 20
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class _File:
    session: str
    path: Path
    bytes: int
    written: float


def prune(
    days: int, max_bytes: int, *, min_days: int = 0, head_bytes: int = HEAD_BYTES
) -> list[str]:
    """Delete old files of the audit log, and return the ids of their sessions.

    A file is deleted if its session wrote no record for `days`. The oldest other files are deleted
    until all files take at most `max_bytes`. A limit of 0 means no limit. A file stays if its
    session is running, or wrote a record in the last `min_days`. Raises WorkspaceError.
    """
    folder = audit_dir()
    if not folder.is_dir():
        return []
    try:
        with locked(folder / LOCK):
            chosen = _chosen(folder, days, max_bytes, min_days)
            deleted = [file.session for file in chosen if _delete(file)]
            head = folder / HEAD
            if head.exists() and head.stat().st_size > head_bytes:
                _shorten(head, head_bytes // 2)
    except OSError as error:
        raise WorkspaceError(f"cannot prune the audit log: {error.strerror or error}") from error
    return deleted


def _chosen(folder: Path, days: int, max_bytes: int, min_days: int) -> Iterator[_File]:
    files = []
    now = time.time()
    for path in folder.glob("*.jsonl"):
        if path.name != HEAD:
            status = path.stat()
            files.append(_File(path.stem, path, status.st_size, status.st_mtime))
    files.sort(key=lambda file: file.written)
    total = sum(file.bytes for file in files)
    for file in files:
        age = now - file.written
        if age < min_days * _DAY:
            return
        late = bool(days) and age > days * _DAY
        if late or (max_bytes and total > max_bytes):
            total -= file.bytes
            yield file


def _delete(file: _File) -> bool:
    """Delete one file, unless its session is running."""
    fd = os.open(file.path, os.O_RDWR)
    try:
        if not _is_free(fd):
            return False
        link = end_of(fd)
        record: dict[str, Any] = {"type": PRUNED, "time": timestamp(), "file": file.session}
        record |= {"count": link.seq, "last": link.hash, "bytes": file.bytes}
        head = open_chain(file.path.with_name(HEAD))
        try:
            append(head, record)
            os.fsync(head)
        finally:
            os.close(head)
        if sys.platform != "win32":
            file.path.unlink()
    finally:
        os.close(fd)
    if sys.platform == "win32":
        file.path.unlink()
    return True


def _is_free(fd: int) -> bool:
    """Whether no session has the file open. On Windows, the system refuses to delete open files."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _shorten(head: Path, kept_bytes: int) -> None:
    """Replace the head's records, except about the last `kept_bytes`, with one base record."""
    data = head.read_bytes()
    if not head_intact(data):
        return  # `verify` reports the damage
    files: dict[str, tuple[int, str]] = {}
    dropped = at = 0
    was = ""
    for line in scan(data):
        record = line.record
        if record is None:
            continue  # a torn line; the next record has its hash
        if len(data) - at <= kept_bytes:
            break
        at += len(line.raw) + 1
        dropped, was = int(record["seq"]), line.hash
        _take(files, record)
    if not dropped:
        return
    base = {"type": BASE, "time": timestamp(), "files": files, "was": was}
    first, _ = seal(base, Link(dropped - 1))
    base_hash = next(iter(scan(first))).hash
    fresh = head.with_name(f"{HEAD}.new")
    fresh.unlink(missing_ok=True)
    fd = open_chain(fresh)
    try:
        os.write(fd, first)
        os.write(fd, data[at:])
        append(fd, {"type": COMPACTED, "time": timestamp(), "base": base_hash})
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(head)


def _take(files: dict[str, tuple[int, str]], record: dict[str, Any]) -> None:
    """Apply a record of the head to `files`, the last state of each session's file."""
    kind = record.get("type")
    if kind == BASE:
        files.update({name: (count, last) for name, (count, last) in record["files"].items()})
    elif kind == TIP:
        files[str(record["file"])] = (int(record["count"]), str(record["last"]))
    elif kind == PRUNED:
        files.pop(str(record["file"]), None)
