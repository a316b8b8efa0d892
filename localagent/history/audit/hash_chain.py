"""Append-only files of JSON records. Each record holds the hash of the record before it.

A line is one record: an object with `seq` (from 1), the record's own fields, `prev` and `hash`.
`prev` is the hash of the previous record; in the first record, it is zeros. `hash` is the SHA-256
of the line's bytes without the field `hash`. A changed record no longer matches its hash. If the
hash is replaced too, the `prev` of the next record no longer matches.

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
    """One line of a file; `number` counts from 1.

    `record` is None if the line does not match its hash. `follows` means that the record's `seq`
    and `prev` continue the record before it. `ended` means that the line ends with a newline.
    """

    number: int
    raw: bytes
    record: dict[str, Any] | None
    hash: str
    follows: bool
    ended: bool


def seal(record: dict[str, Any], after: Link) -> tuple[bytes, Link]:
    """Format `record` as the line after the chain's end `after`; returns the line and the new end.

    The line ends with a newline.
    """
    fields = {"seq": after.seq + 1, **record, "prev": after.hash}
    # ASCII only, because file names that are not UTF-8 contain lone surrogates.
    text = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
    digest = hashlib.sha256(text).hexdigest()
    return b'%b,"hash":"%b"}\n' % (text[:-1], digest.encode()), Link(after.seq + 1, digest)


def unseal(line: bytes) -> tuple[dict[str, Any], str] | None:
    """The record of a line and its hash; None if the line does not match its hash."""
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
    """Append `record` to the open file and return the chain's new end.

    A torn last line is repaired first. The caller must hold the file's lock. Raises OSError; a
    failed append leaves no part of the record in the file.
    """
    repair(fd)
    size = os.fstat(fd).st_size
    line, link = seal(record, _last(fd, size)[0])
    write_whole(fd, line)
    return link


def repair(fd: int) -> Link | None:
    """End a torn last line, append a record of the torn bytes, and return the chain's new end.

    Returns None if no line is torn. The caller must hold the file's lock. Raises OSError.
    """
    size = os.fstat(fd).st_size
    link, good = _last(fd, size)
    rest = _read(fd, good, size - good)
    if link.seq:
        if not rest:  # only the newline of the last record is missing
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
    """The end of the chain in an open file. A torn last line does not count."""
    return _last(fd, os.fstat(fd).st_size)[0]


def _last(fd: int, size: int) -> tuple[Link, int]:
    """The last record that matches its hash, and the file offset at which the record ends."""
    start, data = size, b""
    while True:
        step = min(start, max(_BLOCK, len(data)))
        start -= step
        data = _read(fd, start, step) + data
        at = len(data)
        while True:
            begin = data.rfind(b"\n", 0, at) + 1
            if begin == 0 and start > 0:
                break  # the line begins in the previous block
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
    """Open the file and return its descriptor. A missing file is made with mode 0600.

    Raises OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    for name in ("O_CLOEXEC", "O_BINARY", "O_NOFOLLOW"):
        flags |= getattr(os, name, 0)
    return os.open(path, flags, 0o600)


def scan(data: bytes) -> Iterator[ChainLine]:
    """Every line of a file's bytes, checked against its own hash and the last intact line."""
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
    """Whether a line that does not match its hash was once complete. A torn line has no `hash`."""
    return _END.search(raw) is not None
