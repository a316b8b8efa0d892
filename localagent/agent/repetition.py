"""Telling a reply that goes round in circles, so that it is stopped before it fills its limit, and
finding where to go on instead."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

# A unit of up to UNIT characters that fills at least SPAN characters at the end, UNITS times.
UNIT = 80
UNITS = 5
SPAN = 160
# Lines in a row that begin alike. Twenty real lines of code rarely do; a model that is stuck writes
# `text = text.replace(…` until its limit.
LINES = 20
PREFIX = 12


# Longer units are rarer in real text, so that fewer say enough.
LONG_UNIT = 480
LONG_UNITS = 3
# What has to come back for a long unit to be looked for.
_MARK = 64


def repeats(text: str) -> bool:
    """Whether the end of `text` only repeats itself."""
    return _circle(text) is not None


def ways_out(text: str, most: int) -> list[str]:
    """Texts to go on from instead of the circle that `text` ends in, at most `most` of them.

    Each holds what came before, and the line that the circle began in, ended where a statement can
    end: `a = b.replace(…).replace(…` gives `a = b`, `a = b.replace(…)` and so on. Going on from
    before that line would only lead into the circle again.
    """
    start = _circle(text)
    if start is None:
        return []
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin : start + SPAN].split("\n", 1)[0]
    return [f"{text[: begin + end]}\n" for end in itertools.islice(_ends(line), most)]


def _circle(text: str) -> int | None:
    """Where the circle begins that `text` ends in."""
    for start in (_units_start(text), _long_units_start(text), _alike_start(text)):
        if start is not None:
            return start + 1 if text[start] == "\n" else start
    return None


def _units_start(text: str) -> int | None:
    for size in range(1, UNIT + 1):
        count = max(UNITS, -(-SPAN // size))
        tail = text[-size * count :]
        unit = tail[-size:]
        if len(tail) == size * count and unit.strip() and tail == unit * count:
            return _first(text, size)
    return None


def _long_units_start(text: str) -> int | None:
    mark = text[-_MARK:]
    if len(mark) < _MARK or not mark.strip():
        return None
    before = text.rfind(mark, max(0, len(text) - _MARK - LONG_UNIT), len(text) - 1)
    size = len(text) - _MARK - before
    if before < 0 or size <= UNIT or len(text) < LONG_UNITS * size:
        return None
    units = text[-LONG_UNITS * size :]
    return _first(text, size) if units[size:] == units[:-size] else None


def _first(text: str, size: int) -> int:
    """The first character of those at the end that come again after `size` characters."""
    start = len(text) - size
    while start > 0 and text[start - 1] == text[start - 1 + size]:
        start -= 1
    return start


def _alike_start(text: str) -> int | None:
    lines = text.split("\n")
    starts = [line.strip()[:PREFIX] for line in lines[:-1]]
    if len(starts) < LINES or len(set(starts[-LINES:])) != 1 or len(starts[-1]) != PREFIX:
        return None
    first = len(starts)
    while first and starts[first - 1] == starts[-1]:
        first -= 1
    return sum(len(line) + 1 for line in lines[:first])


# Strings, brackets, words, and every other character by itself.
_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[()\[\]{}]|\w+|.""")


def _ends(line: str) -> Iterator[int]:
    """The places in a line of code where its statement could end, the first one first."""
    depth, begun = 0, False
    tokens = list(_TOKEN.finditer(line))
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        text = token.group()
        depth += (text in "([{") - (text in ")]}")
        ended = text in ")]}" or text[-1].isalnum() or text[0] in "'\""
        if ended and begun and depth == 0 and (after is None or after.group() in ". "):
            yield token.end()
        begun = begun or text in ("=", "(", "return")
