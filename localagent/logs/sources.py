"""Log sources: files, also compressed by gzip, exports of journald, and standard input.

A source is read once, front to back, in chunks of whole lines.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from localagent.core.errors import UsageError
from localagent.logs.json_lines import entry_line

CHUNK = 4 << 20
"""Bytes of a chunk: with larger ones, two processes take more than 300 MB of memory."""

_FIELD = 1 << 20
_JOURNAL = b"__CURSOR="
_SUFFIXES = (".gz", ".log", ".txt", ".json", ".jsonl", ".export", ".out")
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One source: the path as the user named it, its label, its bytes on disk, its last change.

    The label is the short name that stands for the host of lines without one.
    """

    path: str
    label: str
    size: int
    modified: float
    identity: str = ""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Whole lines of source number `source`; `read` bytes of it are read so far."""

    source: int
    data: bytes
    read: int


def open_sources(paths: Sequence[str]) -> list[Source]:
    """The sources that `paths` name; a folder stands for the log files below it.

    Raises UsageError for a path that is missing, unreadable or no file.
    """
    files: list[Path] = []
    for name in paths:
        path = Path(name)
        if name == STDIN or not path.is_dir():
            files.append(path)
            continue
        below = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        if not below:
            raise UsageError(f"there are no files in {name}", "name a log file")
        files += below
    labels = _labels(files)
    return [_source(path, label) for path, label in zip(files, labels, strict=True)]


def _source(path: Path, label: str) -> Source:
    if str(path) == STDIN:
        return Source(STDIN, "stdin", 0, 4e9)
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name a log file") from None
    identity = f"{path.resolve()}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
    return Source(str(path), label, stat.st_size, stat.st_mtime, identity)


def _labels(files: Sequence[Path]) -> list[str]:
    """The paths below their common folder, without the suffixes of logs."""
    parents = [str(path.resolve().parent) for path in files if str(path) != STDIN]
    base = os.path.commonpath(parents) if parents else "."
    labels = []
    for path in files:
        label = os.path.relpath(path.resolve(), base)
        while label.endswith(_SUFFIXES) and not label.startswith("."):
            label = label[: label.rindex(".")]
        labels.append(label)
    return labels


def chunks(number: int, source: Source) -> Iterator[LogChunk]:
    """The chunks of a source. Raises UsageError if the file is damaged or becomes unreadable."""
    try:
        with _open(source) as raw:
            yield from _chunks_of(number, raw)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {source.path}: {error}", "is the file complete?") from None


def _open(source: Source) -> BinaryIO:
    return sys.stdin.buffer if source.path == STDIN else Path(source.path).open("rb")


def _chunks_of(number: int, raw: BinaryIO) -> Iterator[LogChunk]:
    position: Callable[[], int] = raw.tell if raw.seekable() else lambda: 0
    stream = io.BufferedReader(cast("io.RawIOBase", raw), 1 << 16)
    if stream.peek(2)[:2] == b"\x1f\x8b":
        stream = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=stream)), 1 << 16)
    if stream.peek(len(_JOURNAL)).startswith(_JOURNAL):
        for data in _journal(stream):
            yield LogChunk(number, data, position())
        return
    while data := stream.read(CHUNK):
        # at most a chunk more, so that a file without line breaks stays bounded
        yield LogChunk(number, data + stream.readline(CHUNK), position())


def _journal(stream: io.BufferedReader[io.RawIOBase]) -> Iterator[bytes]:
    """The entries of a journald export as lines, in chunks. See systemd's "Journal Export Format".

    A field is NAME=value, or NAME, a line break, eight bytes of length, the value, a line break.
    """
    lines: list[str] = []
    size = 0
    entry: dict[str, str] = {}
    while True:
        line = stream.readline(_FIELD)
        name, equals, value = line.rstrip(b"\n").partition(b"=")
        if equals:
            entry[name.decode("ascii", "replace")] = value.decode("utf-8", "replace")
        elif name:
            length = int.from_bytes(stream.read(8), "little")
            entry[name.decode("ascii", "replace")] = _binary(stream, length)
        elif entry:
            text = entry_line(_entry_fields(entry))
            lines.append(text)
            size += len(text)
            entry = {}
        if size >= CHUNK // 2 or (not line and lines):
            yield "\n".join([*lines, ""]).encode()
            lines, size = [], 0
        if not line:
            return


def _binary(stream: io.BufferedReader[io.RawIOBase], length: int) -> str:
    """The value of a binary field. Of a long value, the rest is skipped."""
    value = stream.read(min(length, _FIELD))
    left = length - len(value) + 1  # the line break after the value
    while left > 0 and (skipped := stream.read(min(left, _FIELD))):
        left -= len(skipped)
    return value.decode("utf-8", "replace")


_FIELDS = (
    *("__REALTIME_TIMESTAMP", "PRIORITY", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "MESSAGE"),
)


def _entry_fields(entry: dict[str, str]) -> dict[str, str]:
    fields = {name: entry[name] for name in _FIELDS if name in entry}
    if "SYSLOG_IDENTIFIER" in fields:
        fields.pop("_COMM", None)
    return fields
