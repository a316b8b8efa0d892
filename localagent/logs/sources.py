"""Log sources: files, also compressed by gzip, exports of journald, and standard input.

A source is read once, front to back, in chunks of whole lines.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
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
# The fields of an entry that its line shows, in their order.
_FIELDS = (
    *("__REALTIME_TIMESTAMP", "PRIORITY", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "MESSAGE"),
)
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


def file_name(path: str) -> str:
    """The name of a file for `open_sources`: a file named "-" is "./-"."""
    return f"./{path}" if path == STDIN else path


def open_sources(paths: Sequence[str], root: Path = Path()) -> list[Source]:
    """The sources that `paths` name below `root`; a folder stands for the files below it.

    "-" stands for standard input. Raises UsageError for a path that is missing or unreadable, and
    for a device or a pipe.
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
        names += [file_name(str(Path(name) / p.relative_to(path))) for p in below]
    labels = _labels([(root / name).resolve() for name in names if name != STDIN])
    return [_source(name, root, labels) for name in dict.fromkeys(names)]


def _source(name: str, root: Path, labels: Mapping[Path, str]) -> Source:
    if name == STDIN:
        return Source(STDIN, "stdin", 0, 4e9)
    path = (root / name).resolve()
    try:
        with _open_file(str(path)) as file:
            status = os.fstat(file.fileno())
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "name a log file") from None
    identity = f"{path}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
    return Source(name, labels[path], status.st_size, status.st_mtime, str(path), identity)


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
    return sys.stdin.buffer if source.path == STDIN else _open_file(source.file)


def _open_file(path: str) -> BinaryIO:
    """Open a regular file, without waiting for the writer of a pipe. Raises OSError."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", path)
    return file


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
    An entry has only the fields that its line shows: an entry without an end stays small.
    """
    lines: list[str] = []
    size = 0
    entry: dict[str, str] = {}
    while True:
        line = _field_line(stream)
        name, equals, value = line.removesuffix(b"\n").partition(b"=")
        field = name.decode("ascii", "replace")
        if name and not equals:
            value = _binary(stream, int.from_bytes(stream.read(8), "little"))
        if field in _FIELDS:
            entry[field] = value.decode("utf-8", "replace")
        elif entry and not name:
            if "SYSLOG_IDENTIFIER" in entry:
                entry.pop("_COMM", None)
            text = entry_line(entry)
            lines.append(text)
            size += len(text)
            entry = {}
        if size >= CHUNK // 2 or (not line and lines):
            yield "\n".join([*lines, ""]).encode()
            lines, size = [], 0
        if not line:
            return


def _field_line(stream: io.BufferedReader[io.RawIOBase]) -> bytes:
    """The next line. Of a long line, the rest is skipped."""
    line = stream.readline(_FIELD)
    rest = line
    while len(rest) == _FIELD and not rest.endswith(b"\n"):
        rest = stream.readline(_FIELD)
    return line


def _binary(stream: io.BufferedReader[io.RawIOBase], length: int) -> bytes:
    """The value of a binary field. Of a long value, the rest is skipped."""
    value = stream.read(min(length, _FIELD))
    left = length - len(value) + 1  # the line break after the value
    while left > 0 and (skipped := stream.read(min(left, _FIELD))):
        left -= len(skipped)
    return value
