"""Append-only files of JSON records. Each record holds the hash of the record before.

A line is one record: an object with `seq` (from 1), `prev`, its own fields, and `hash` at the end.
`prev` is the hash of the record before, and zeros in the first record. `hash` is the SHA-256 of the
line's bytes without that field. A changed record does not fit its own hash; with a new hash, the
next record's `prev` does not fit.

A process that is killed while it writes leaves at most a torn last line. The next writer ends that
line and appends a record of the type "torn" with the hash of the torn bytes. A reader can therefore
tell a torn line from an altered one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.history.sessions.jsonl import write_whole

ZERO = "0" * 64
TORN = "torn"
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_BYTES = len(',"hash":""}') + 64
_BLOCK = 1 << 12


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: its number of records, and the hash of the last one."""

    seq: int = 0
    hash: str = ZERO


@dataclass(frozen=True, slots=True)
class ChainLine:
    """One line of a file, counted from 1. `record` is None where the line does not fit its hash.

    `follows` means that the record has the number and the `prev` of the one after its predecessor.
    """

    number: int
    raw: bytes
    record: dict[str, Any] | None
    hash: str
    follows: bool
    ended: bool


def seal(record: dict[str, Any], after: Link) -> tuple[bytes, Link]:
    """The line of `record` after the link `after`, with its newline, and the chain's new end."""
    fields = {"seq": after.seq + 1, **record, "prev": after.hash}
    # Only ASCII: a file name that is not UTF-8 reaches us as lone surrogates.
    text = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return b'%b,"hash":"%b"}\n' % (text[:-1], digest.encode()), Link(after.seq + 1, digest)


def unseal(line: bytes) -> tuple[dict[str, Any], str] | None:
    """The record of a line and its hash; None where the line does not fit its hash."""
    end = _END.fullmatch(line, max(0, len(line) - _END_BYTES))
    if end is None:
        return None
    body = line[: end.start()] + b"}"
    digest = end[1].decode()
    if hashlib.sha256(body).hexdigest() != digest:
        return None
    try:
        record = json.loads(body)
    except (ValueError, RecursionError):
        return None
    good = isinstance(record, dict) and isinstance(record.get("seq"), int)
    return (record, digest) if good else None


def append(fd: int, record: dict[str, Any]) -> Link:
    """Repair the end of the open file where it is torn, append `record`, and return the new end.

    The caller holds the lock of the file. Raises OSError, and leaves the file unchanged then.
    """
    repair(fd)
    size = os.fstat(fd).st_size
    line, link = seal(record, _last(fd, size)[0])
    write_whole(fd, line)
    return link


def repair(fd: int) -> Link | None:
    """End a torn last line, append a record of it, and return the new end; None for a whole file.

    The same holds as for `append`.
    """
    size = os.fstat(fd).st_size
    link, good = _last(fd, size)
    rest = _read(fd, good, size - good)
    if link.seq:
        if not rest:  # the last record is whole, but for its end
            write_whole(fd, b"\n")
            return None
        rest = rest[1:]
    if not rest:
        return None
    torn = rest.removesuffix(b"\n")
    record = {"type": TORN, "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
    line, link = seal(record, link)
    write_whole(fd, (b"" if rest.endswith(b"\n") else b"\n") + line)
    return link


def end_of(fd: int) -> Link:
    """The end of the chain in an open file, without a torn line."""
    return _last(fd, os.fstat(fd).st_size)[0]


def _last(fd: int, size: int) -> tuple[Link, int]:
    """The last record that fits its hash, and the place in the file where it ends."""
    start, data = size, b""
    while True:
        step = min(start, max(_BLOCK, len(data)))
        start -= step
        data = _read(fd, start, step) + data
        at = len(data)
        while True:
            begin = data.rfind(b"\n", 0, at) + 1
            if begin == 0 and start > 0:
                break  # the line begins in the block before
            unsealed = unseal(data[begin:at])
            if unsealed is not None:
                return Link(unsealed[0]["seq"], unsealed[1]), start + at
            if begin == 0:
                return Link(), 0
            at = begin - 1


def _read(fd: int, at: int, count: int) -> bytes:
    os.lseek(fd, at, os.SEEK_SET)
    parts = []
    while count > 0 and (part := os.read(fd, count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def open_chain(path: Path) -> int:
    """A descriptor of the file, made with mode 0600 where it is missing. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for name in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o600)


def scan(data: bytes) -> Iterator[ChainLine]:
    """Every line of a file's bytes, checked by itself and against the last good line."""
    after = Link()
    number = at = 0
    while at < len(data):
        number += 1
        end = data.find(b"\n", at)
        ended = end >= 0
        raw = data[at : end if ended else len(data)]
        at = end + 1 if ended else len(data)
        unsealed = unseal(raw)
        if unsealed is None:
            yield ChainLine(number, raw, None, "", False, ended)
            continue
        record, digest = unsealed
        follows = record["seq"] == after.seq + 1 and record.get("prev") == after.hash
        yield ChainLine(number, raw, record, digest, follows, ended)
        after = Link(record["seq"], digest)


def is_altered(raw: bytes) -> bool:
    """Whether a line that does not fit its hash was whole once. A torn line has no end."""
    return _END.search(raw) is not None
