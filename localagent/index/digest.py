"""What the index keeps of one file: computed from its bytes alone, so in any process."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from localagent.edits.textfile import decode, is_binary
from localagent.index import words
from localagent.index.base import Symbol
from localagent.index.chunks import chunks
from localagent.index.outline import outline

MAX_BYTES = 1 << 20
"""Larger files are data or generated: they are found by their path only."""

MAX_LINE = 2000
"""Characters in a line on average above which a file is minified or data."""

_GENERATED = re.compile(r"(?i)\bcode generated\b.{0,80}\bdo not edit\b|@generated\b")


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk with its words as the full-text search takes them."""

    name: str
    line: int
    end_line: int
    words: str


@dataclass(frozen=True, slots=True)
class Digest:
    """What is kept of a file. `hash` is of its bytes; `kind` is "text", "generated", "binary",
    "big" or "minified", and only for the first two there is more."""

    hash: bytes
    kind: str
    lines: int
    pieces: tuple[Piece, ...]
    symbols: tuple[Symbol, ...]


def digest(path: str, data: bytes) -> Digest:
    """The digest of a file at `path`, whose whole content, or first `MAX_BYTES` + 1, is `data`."""
    hashed = hashlib.blake2b(data, digest_size=16).digest()
    kind, text = _read(data)
    if not text:
        return Digest(hashed, kind, 0, (), ())
    lines = _lines(text)
    symbols = outline(path, text)
    split = text.split("\n")
    pieces = []
    for chunk in chunks(symbols, lines):
        found = words.counted("\n".join(split[chunk.line - 1 : chunk.end_line]))
        # The class that a method is in stands elsewhere.
        found.update(words.counted(chunk.name.replace(".", " ")))
        pieces.append(Piece(chunk.name, chunk.line, chunk.end_line, words.stored(found)))
    return Digest(hashed, kind, lines, tuple(pieces), tuple(symbols))


def definitions(path: str, data: bytes) -> Sequence[Symbol]:
    """The definitions of a file, as its digest has them."""
    _, text = _read(data)
    return outline(path, text)


def _read(data: bytes) -> tuple[str, str]:
    """The kind of a file, and its text where that is looked at, or ""."""
    if is_binary(data):
        return "binary", ""
    if len(data) > MAX_BYTES:
        return "big", ""
    text = decode(data).text
    if len(text) > MAX_LINE * max(1, _lines(text)):
        return "minified", ""
    return "generated" if _GENERATED.search(text[:1000]) else "text", text


def _lines(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and bool(text))
