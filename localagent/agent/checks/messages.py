"""What a failing test says, in few words: the call that it made, and what came out instead of what.

Test runners explain a failure over many lines, of which a model needs two or three; each token that
it reads costs a small machine 15 ms.
"""

from __future__ import annotations

import re

_LINES = 3
_CHARS = 300
_MARKS = re.compile(r"[\^~ ]+")
_DIFF = ("- ", "+ ", "? ")
_FIRST = "First differing element"


def condensed(message: str) -> str:
    """A failure's message (see `TestResult`) in one line of at most 300 characters.

    Lines that only mark a place are left out, and of two long lists the first elements that differ
    are shown, not the lists.
    """
    lines = [line.strip() for line in message.splitlines()]
    lines = [line for line in lines if line and not _MARKS.fullmatch(line)]
    plain = [line for line in lines if not line.startswith(_DIFF)] or lines
    return " | ".join(_with_difference(plain)[:_LINES])[:_CHARS]


def _with_difference(lines: list[str]) -> list[str]:
    """The lines, with the elements that differ in the place of the sequences that hold them."""
    place = next((n for n, line in enumerate(lines) if line.startswith(_FIRST)), None)
    if place is None or len(lines) < place + 3:
        return lines
    before = [line for line in lines[:place] if " differ: " not in line]
    number = lines[place].removeprefix(_FIRST).strip(" :")
    return [*before, f"element {number} is {lines[place + 1]}, expected {lines[place + 2]}"]
