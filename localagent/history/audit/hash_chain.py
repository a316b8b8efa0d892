"""Append-only files of JSON records in which every record holds the hash of the one before.

A line is one record: an object with `seq` (from 1), `prev` (the hash of the record before, zeros
before the first), its own fields, and last `hash`, the SHA-256 of the line's bytes without that
field. So a changed record does not fit its own hash, and one that was made to fit no longer fits
the `prev` of the next.

A process that is killed while it writes leaves at most a torn last line. The next one to append
keeps the torn bytes, ends them, and writes a record of the type "torn" that holds their hash: what
was torn is told apart from what somebody changed.
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

ZERO = "0" * 64
TORN = "torn"
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_BYTES = len(',"hash":""}') + 64
_BLOCK = 1 << 12


@dataclass(frozen=True, slots=True)
class Link:
    """The end of a chain: how many records it has, and the hash of the last."""

    seq: int = 0
    hash: str = ZERO


@dataclass(frozen=True, slots=True)
class ChainLine:
    """One line of a file, from 1. `record` is None where it is not what its hash says; `prev_ok`
    says whether it goes on from the record before."""

    number: int
    raw: bytes
    record: dict[str, Any] | None
    hash: str
    prev_ok: bool
    ended: bool


def seal(record: dict[str, Any], after: Link) -> tuple[bytes, Link]:
    """The line of `record` after `after`, its end of line included, and the chain's new end."""
    fields = {"seq": after.seq + 1, **record, "prev": after.hash}
    # Only ASCII: a file name that is not UTF-8 reaches us as lone surrogates.
    text = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return b'%b,"hash":"%b"}\n' % (text[:-1], digest.encode()), Link(after.seq + 1, digest)


def unseal(line: bytes) -> tuple[dict[str, Any], str] | None:
    """The record of a line and its hash, or None where the line does not fit its hash."""
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
    """Append `record` to the open file, mended where its end is torn; returns the chain's new end.

    The caller holds the lock of the file. Raises OSError; the file then is as it was.
    """
    repair(fd)
    size = os.fstat(fd).st_size
    line, link = seal(record, _last(fd, size)[0])
    _write(fd, size, line)
    return link


def repair(fd: int) -> Link | None:
    """Where the file's end is torn, end the line and append a record that tells it; returns the new
    end of the chain then, else None. As `append`."""
    size = os.fstat(fd).st_size
    link, good = _last(fd, size)
    rest = _read(fd, good, size - good)
    if link.seq:
        if not rest:  # the last record is whole, but for its end
            _write(fd, size, b"\n")
            return None
        rest = rest[1:]
    if not rest:
        return None
    torn = rest.removesuffix(b"\n")
    record = {"type": TORN, "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
    line, link = seal(record, link)
    _write(fd, size, (b"" if rest.endswith(b"\n") else b"\n") + line)
    return link


def end_of(fd: int) -> Link:
    """The end of the chain in an open file; what is torn does not count."""
    return _last(fd, os.fstat(fd).st_size)[0]


def _last(fd: int, size: int) -> tuple[Link, int]:
    """The last record that fits its hash, and where in the file it ends (without its newline)."""
    start, data = size, b""
    while True:
        step = min(start, max(_BLOCK, len(data)))
        start -= step
        data = _read(fd, start, step) + data
        at = len(data)
        while True:
            begin = data.rfind(b"\n", 0, at) + 1
            if begin == 0 and start > 0:
                break  # this line begins before what was read
            found = unseal(data[begin:at])
            if found is not None:
                return Link(found[0]["seq"], found[1]), start + at
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


def _write(fd: int, size: int, data: bytes) -> None:
    """Write all of `data` at the end, or nothing."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.ftruncate(fd, size)
        raise


def open_chain(path: Path) -> int:
    """A descriptor of the file, which is made where it is missing (mode 0600). Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for name in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o600)


def scan(data: bytes) -> Iterator[ChainLine]:
    """Every line of a file's bytes, each looked at by itself and against the last good one."""
    after = Link()
    number = at = 0
    while at < len(data):
        number += 1
        end = data.find(b"\n", at)
        ended = end >= 0
        raw = data[at : end if ended else len(data)]
        at = end + 1 if ended else len(data)
        found = unseal(raw)
        if found is None:
            yield ChainLine(number, raw, None, "", False, ended)
            continue
        record, digest = found
        follows = record["seq"] == after.seq + 1 and record.get("prev") == after.hash
        yield ChainLine(number, raw, record, digest, follows, ended)
        after = Link(record["seq"], digest)


def is_altered(raw: bytes) -> bool:
    """Whether a line that does not fit its hash was whole once: a torn one has no end."""
    return _END.search(raw) is not None
