"""The bytes of a GGUF file's header: its keys and values, and what it says of its tensors.

The format is that of ggml's gguf.h, versions 2 and 3, little-endian. The file may be anything: it
can be cut short or made to do harm, so no number in it is believed before it was compared with
what the file can hold, and nothing is allocated because the file asks for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

MAX_HEADER = 256 << 20
"""Most bytes of a header. Vocabularies of 260,000 tokens take about 10 MiB."""

MAX_PAIRS = 1 << 16
MAX_TENSORS = 1 << 18
MAX_KEY = (1 << 16) - 1  # the format's own limit, in bytes
MAX_TEXT = 1 << 20
"""Longest text that is kept, in bytes; a chat template has some thousand."""

MAX_ITEMS = 4096
"""Longest list of numbers that is kept; such lists have a number for each layer."""

MAX_DIMENSIONS = 4  # GGML_MAX_DIMS

_CHUNK = 1 << 20
_LENGTH = struct.Struct("<Q")
_TEXT, _LIST = 8, 9
_NUMBERS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
# Of a tensor type: how many weights make a block, and a block's bytes (ggml-common.h). For what
# is not here, a tensor's end is not known.
_BLOCKS = {
    kind: (count, width)
    for count, width, *kinds in (
        *((1, 4, 0), (1, 2, 1, 30), (32, 18, 2, 20), (32, 20, 3), (32, 22, 6), (32, 24, 7)),
        *((32, 34, 8), (256, 84, 10), (256, 110, 11), (256, 144, 12), (256, 176, 13)),
        *((256, 210, 14), (256, 136, 23)),
    )
    for kind in kinds
}

Value = str | int | float | list[int | float]


class GgufError(Exception):
    """The file is no GGUF file that can be read; the message says why, and begins with "it"."""


@dataclass(frozen=True, slots=True)
class RawHeader:
    """What a header holds. Texts that are too long, lists of texts and long lists of numbers are
    left out of `values`; `lengths` has the length of every list.

    `weights` is the number of all tensors' elements. `needs` is how many bytes the file must have
    at least, as far as the tensors' types are known here.
    """

    version: int
    values: Mapping[str, Value]
    lengths: Mapping[str, int]
    tensors: int
    weights: int
    needs: int


class Stream(Protocol):
    """What is read from: a file without a buffer, or any other binary one."""

    def read(self, size: int, /) -> bytes | None:
        """The next bytes, at most `size`; none at the end."""
        ...

    def seek(self, position: int, /) -> int:
        """Go on at `position`."""
        ...


def read_header(stream: Stream, size: int) -> RawHeader:
    """The header of a file of `size` bytes, from its beginning. Raises GgufError and OSError."""
    cursor = _Cursor(stream, size)
    version = _version(cursor)
    tensors, pairs = cursor.number("Q"), cursor.number("Q")
    if pairs > MAX_PAIRS or tensors > MAX_TENSORS:
        raise GgufError("it claims to have more parts than any model")
    values: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    for _ in range(int(pairs)):
        _pair(cursor, values, lengths)
    weights, end = _tensors(cursor, int(tensors))
    alignment = values.get("general.alignment", 32)
    step = alignment if isinstance(alignment, int) and 0 < alignment <= 1 << 20 else 32
    start = -(-cursor.position // step) * step
    needs = start + end if tensors else cursor.position
    return RawHeader(int(version), values, lengths, int(tensors), weights, needs)


def _version(cursor: _Cursor) -> int:
    if cursor.left < 8 or cursor.take(4) != b"GGUF":
        raise GgufError("it is not a GGUF file")
    version = int(cursor.number("I"))
    if version and version & 0xFFFF == 0:
        raise GgufError("it is made for machines of the other byte order")
    if version not in (2, 3):
        raise GgufError(f"it has version {version} of the format; known are 2 and 3")
    return version


def _pair(cursor: _Cursor, values: dict[str, Value], lengths: dict[str, int]) -> None:
    """Read one key with its value."""
    key = cursor.text(MAX_KEY)
    if key is None:
        raise GgufError("it has a key that is too long")
    kind = int(cursor.number("I"))
    if kind == _LIST:
        inner, count = int(cursor.number("I")), int(cursor.number("Q"))
        lengths[key] = count
        items = _items(cursor, inner, count)
        if items is not None:
            values[key] = items
    elif kind == _TEXT:
        text = cursor.text(MAX_TEXT)
        if text is not None:
            values[key] = text
    elif kind in _NUMBERS:
        values[key] = cursor.number(_NUMBERS[kind])
    else:
        raise GgufError(f"it has a value of the unknown type {kind}")


def _items(cursor: _Cursor, kind: int, count: int) -> list[int | float] | None:
    """A list of numbers; None for one that is passed over."""
    if kind == _TEXT:
        cursor.skip_texts(count)
        return None
    if kind not in _NUMBERS:
        raise GgufError(f"it has a list of the unknown type {kind}")
    width = struct.calcsize("<" + _NUMBERS[kind])
    if count > MAX_ITEMS:
        cursor.skip(count * width)
        return None
    return list(struct.unpack(f"<{count}{_NUMBERS[kind]}", cursor.take(count * width)))


def _tensors(cursor: _Cursor, count: int) -> tuple[int, int]:
    """How many weights all tensors have, and where the last one ends at least, in bytes from
    where the tensors begin."""
    weights = end = 0
    for _ in range(count):
        if cursor.text(MAX_KEY) is None:
            raise GgufError("it has a tensor whose name is too long")
        dimensions = int(cursor.number("I"))
        if dimensions > MAX_DIMENSIONS:
            raise GgufError(f"it has a tensor of {dimensions} dimensions")
        elements = math.prod(int(cursor.number("Q")) for _ in range(dimensions))
        block, width = _BLOCKS.get(int(cursor.number("I")), (1, 0))
        weights += elements
        end = max(end, int(cursor.number("Q")) + elements // block * width)
    return weights, end


class _Cursor:
    """Reads a stream from its beginning, never past `size` nor past the longest header."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._size = size
        self._buffer = b""
        self._at = 0  # in the buffer
        self._base = 0  # where in the file the buffer begins

    @property
    def position(self) -> int:
        """Bytes from the file's beginning."""
        return self._base + self._at

    @property
    def left(self) -> int:
        """Bytes that may still be read."""
        return min(self._size, MAX_HEADER) - self.position

    def number(self, code: str) -> int | float:
        """One number of a struct code."""
        found: int | float = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]
        return found

    def text(self, most: int) -> str | None:
        """A text with its length before it; None for one of more than `most` bytes."""
        length = int(self.number("Q"))
        if length > most:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._need(count)
        while len(self._buffer) - self._at < count:
            self._fill()
        self._at += count
        return self._buffer[self._at - count : self._at]

    def skip(self, count: int) -> None:
        """Pass over `count` bytes."""
        self._need(count)
        target = self.position + count
        if target > self._base + len(self._buffer):
            self._stream.seek(target)
            self._buffer, self._at, self._base = b"", 0, target
        else:
            self._at += count

    def skip_texts(self, count: int) -> None:
        """Pass over `count` texts: a vocabulary, so this is where the time goes."""
        self._need(8 * count)
        unpack = _LENGTH.unpack_from
        while count:
            self._need(8)
            while len(self._buffer) - self._at < 8:
                self._fill()
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                at += 8 + unpack(buffer, at)[0]
                count -= 1
            # The last text may end beyond the buffer, and a wrong length far beyond the file.
            self.skip(at - self._at)

    def _need(self, count: int) -> None:
        if count > self.left:
            cut = self.position + count > self._size
            why = "ends in the middle of its header" if cut else "has a header that is too long"
            raise GgufError(f"it {why}")

    def _fill(self) -> None:
        chunk = self._stream.read(_CHUNK)
        if not chunk:  # it became shorter meanwhile
            raise GgufError("it ends in the middle of its header")
        self._buffer = self._buffer[self._at :] + chunk
        self._base += self._at
        self._at = 0
