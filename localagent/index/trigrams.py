"""Trigram filters: each file has a Bloom filter that excludes texts that the file cannot contain.

A trigram is three bytes of a word in lower case, or two bytes and the word's edge. Each trigram
sets one bit of the file's filter, at the place that the trigram's hash gives (Bloom, 1970, with one
hash). With `BITS` bits for each trigram, a text of three letters that is in no file excludes about
three of five files. A long text of rare trigrams excludes almost all files. A file that has all
trigrams of the text in other words is read in vain. On 3.2 million lines, the filters take a
fiftieth of the source's size. Lists of files for each trigram would take a tenth or more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

Clause = tuple[str, ...]
"""Alternative literals: a matching text contains at least one of them, in upper or lower case."""

_MOST = 64
"""Most alternatives of a clause: a clause with more alternatives excludes few files."""


def literals_of(pattern: str, *, regex: bool) -> list[Clause]:
    """The clauses that are true for every text that `pattern` matches; empty if none is certain.

    Literals are ASCII, because the case rules of other letters differ.
    """
    if not regex:
        return [(part,) for part in re.split(r"[^\x00-\x7f]+", pattern) if part]
    try:
        # The parser of `re` has no public name. This module uses that parser, so that it reads a
        # pattern as `re` does.
        parsed: Any = import_module("re._parser").parse(pattern)
    except (ImportError, AttributeError, re.error, OverflowError, RecursionError):
        return []
    return _of_sequence(parsed)


def _of_sequence(items: Iterable[Any]) -> list[Clause]:
    found: list[Clause] = []
    run: list[str] = []

    def ended() -> None:
        if run:
            found.append(("".join(run),))
            run.clear()

    for operator, value in items:
        if str(operator) == "LITERAL" and value < 128:
            run.append(chr(value))
            continue
        ended()
        found += _of_item(str(operator), value)
    ended()
    return found


def _of_item(operator: str, value: Any) -> list[Clause]:
    if operator == "SUBPATTERN":
        return _of_sequence(value[-1])
    if operator == "ATOMIC_GROUP":
        return _of_sequence(value)
    if operator in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _of_sequence(value[2]) if value[0] else []
    if operator == "BRANCH":
        return _of_branch([_of_sequence(one) for one in value[1]])
    return []


def _of_branch(branches: Sequence[list[Clause]]) -> list[Clause]:
    """Combine the longest clause of each branch into one clause."""
    if not all(branches):
        return []
    best = [max(one, key=lambda clause: min(map(len, clause))) for one in branches]
    joined = tuple(literal for clause in best for literal in clause)
    return [joined] if len(joined) <= _MOST else []


BITS = 2
"""Bits of a filter for each trigram of its file."""

_FACTOR = 0x9E3779B1  # 2**32 divided by the golden ratio, to spread close values (Knuth, 6.4)
_WORD = b"abcdefghijklmnopqrstuvwxyz0123456789_"
_TO_WORDS = bytes(c if c in _WORD or c > 127 else 32 for c in range(256))
_TO_DIGITS = bytes([48, 49]) + bytes(254)
_SPACE = 32


def filter_of(text: bytes) -> bytes:
    """The filter of a text in UTF-8."""
    words = set(text.lower().translate(_TO_WORDS).split())
    joined = b"  " + b"  ".join(words) + b"  "
    found = {joined[n : n + 3] for n in range(len(joined) - 2)}
    size = -(-BITS * len(found) // 64) * 64
    flags = bytearray(size)
    for gram in found:
        flags[_place(int.from_bytes(gram, "little"), size)] = 1
    return int(flags.translate(_TO_DIGITS), 2).to_bytes(size // 8, "big")


def grams(literal: str) -> frozenset[int]:
    """The trigrams of every text that contains this literal, in any case."""
    text = literal.encode().lower().translate(_TO_WORDS)
    parts = (text[n : n + 3] for n in range(len(text) - 2))
    return frozenset(int.from_bytes(part, "little") for part in parts if _is_in_word(part))


def _is_in_word(part: bytes) -> bool:
    """Whether three bytes belong to one word; any bytes may be between two words."""
    first, middle, last = (byte == _SPACE for byte in part)
    return not (middle and first == last)


class Filters:
    """Tests files by their filters: one alternative of each clause must be possible."""

    def __init__(self, clauses: Sequence[Clause]) -> None:
        found = [[grams(literal) for literal in clause] for clause in clauses]
        self._wanted = [alternatives for alternatives in found if all(alternatives)]
        self._by_size: dict[int, list[list[list[tuple[int, int]]]]] = {}

    def __bool__(self) -> bool:
        """Whether the clauses can exclude any file."""
        return bool(self._wanted)

    def allow(self, bits: bytes) -> bool:
        """Whether the file with this filter may match."""
        tests = self._by_size.get(len(bits))
        if tests is None:
            tests = self._by_size[len(bits)] = self._tests(8 * len(bits))
        for alternatives in tests:
            for one in alternatives:
                for place, mask in one:
                    if not bits[place] & mask:
                        break
                else:
                    break
            else:
                return False
        return True

    def _tests(self, size: int) -> list[list[list[tuple[int, int]]]]:
        """For each clause and alternative: the bytes to test, each with the bit that must be 1."""
        return [
            [[_bit(_place(gram, size)) for gram in sorted(one)] for one in alternatives]
            for alternatives in self._wanted
        ]


def _place(gram: int, size: int) -> int:
    # by the high bits of the hash, which depend on all bits of the trigram
    return (gram * _FACTOR & 0xFFFFFFFF) * size >> 32


def _bit(place: int) -> tuple[int, int]:
    return place // 8, 128 >> place % 8
