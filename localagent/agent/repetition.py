"""Telling a reply that goes round in circles, so that it is stopped before it fills its limit."""

from __future__ import annotations

# A unit of up to UNIT characters that fills at least SPAN characters at the end, UNITS times.
UNIT = 80
UNITS = 5
SPAN = 160
# Lines in a row that begin alike. Twenty real lines of code rarely do; a model that is stuck writes
# `text = text.replace(…` until its limit.
LINES = 20
PREFIX = 12


def repeats(text: str) -> bool:
    """Whether the end of `text` only repeats itself."""
    return _unit_repeats(text) or _lines_begin_alike(text)


def _unit_repeats(text: str) -> bool:
    for size in range(1, UNIT + 1):
        count = max(UNITS, -(-SPAN // size))
        tail = text[-size * count :]
        unit = tail[-size:]
        if len(tail) == size * count and unit.strip() and tail == unit * count:
            return True
    return False


def _lines_begin_alike(text: str) -> bool:
    lines = [line.strip() for line in text.split("\n")[-LINES - 1 : -1]]
    starts = {line[:PREFIX] for line in lines}
    return len(lines) == LINES and len(starts) == 1 and len(starts.pop()) == PREFIX
