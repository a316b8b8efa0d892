"""What the index keeps of one file: computed from its bytes alone, so in any process."""

from __future__ import annotations

import hashlib
import re
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
    words: str
    pieces: tuple[Piece, ...]
    symbols: tuple[Symbol, ...]


def digest(path: str, data: bytes) -> Digest:
    """The digest of a file at `path`, whose whole content, or first `MAX_BYTES` + 1, is `data`."""
    kind = _kind(data)
    if kind != "text":
        return _empty(data, kind)
    text = decode(data).text
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    if len(text) > MAX_LINE * max(1, lines):
        return _empty(data, "minified")
    symbols = outline(path, text)
    split = text.split("\n")
    pieces = []
    for chunk in chunks(symbols, lines):
        body = "\n".join(split[chunk.line - 1 : chunk.end_line])
        found = words.counted(body)
        # The class that a method is in stands elsewhere.
        found.update(words.counted(chunk.name.replace(".", " ")))
        pieces.append(Piece(chunk.name, chunk.line, chunk.end_line, words.stored(found)))
    whole = words.stored(words.counted(text))
    digested = hashlib.blake2b(data, digest_size=16).digest()
    kind = "generated" if _GENERATED.search(text[:1000]) else kind
    return Digest(digested, kind, lines, whole, tuple(pieces), tuple(symbols))


def _kind(data: bytes) -> str:
    if is_binary(data):
        return "binary"
    return "big" if len(data) > MAX_BYTES else "text"


def _empty(data: bytes, kind: str) -> Digest:
    hashed = hashlib.blake2b(data, digest_size=16).digest()
    return Digest(hashed, kind, 0, "", (), ())
