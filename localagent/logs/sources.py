"""Log sources: files, also compressed by gzip, exports of journald, and standard input.

A source is read once, front to back, in chunks of whole lines.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    The label is the short name that stands for the host of lines without one. `file` is the path
    to open, and `identity` changes when the file does.
    """

    path: str
    label: str
    size: int
    modified: float
    file: str = ""
    identity: str = ""


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Whole lines of source number `source`; `read` bytes of it are read so far."""

    source: int
    data: bytes
    read: int


def open_sources(paths: Sequence[str], root: Path = Path()) -> list[Source]:
    """The sources that `paths` name below `root`; a folder stands for the files below it.

    Raises UsageError for a path that is missing, unreadable or no file.
    """
    names: list[str] = []
    for name in paths:
        path = root / name
        if name == STDIN or not path.is_dir():
            names.append(name)
            continue
        below = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        if not below:
            raise UsageError(f"there are no files in {name}", "name a log file")
        names += [str(Path(name) / p.relative_to(path)) for p in below]
    labels = _labels([(root / name).resolve() for name in names if name != STDIN])
    return [_source(name, root, labels) for name in dict.fromkeys(names)]


def _source(name: str, root: Path, labels: Mapping[Path, str]) -> Source:
    if name == STDIN:
        return Source(STDIN, "stdin", 0, 4e9)
    path = (root / name).resolve()
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "name a log file") from None
    identity = f"{path}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
    return Source(name, labels[path], stat.st_size, stat.st_mtime, str(path), identity)


def _labels(files: Sequence[Path]) -> dict[Path, str]:
    """For each file, its path below their common folder, without the suffixes of logs."""
    base = os.path.commonpath([path.parent for path in files]) if files else ""
    labels = {}
    for path in files:
        label = os.path.relpath(path, base)
        while label.endswith(_SUFFIXES) and not label.startswith("."):
            label = label[: label.rindex(".")]
        labels[path] = label
    return labels


def chunks(number: int, source: Source) -> Iterator[LogChunk]:
    """The chunks of a source. Raises UsageError if the file is damaged or becomes unreadable."""
    try:
        with _open(source) as raw:
            yield from _chunks_of(number, raw)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"cannot read {source.path}: {error}", "is the file complete?") from None


def _open(source: Source) -> BinaryIO:
    return sys.stdin.buffer if source.path == STDIN else Path(source.file).open("rb")


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
