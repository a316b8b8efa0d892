"""Fenced code blocks, as models write them.

The rules are CommonMark's, with three additions for models: a fence inside a fence nests where it
has an info string and the closings add up; a block that the reply's end (or a stop sequence) cut
off counts; and so does one that the next opening cuts off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class FenceLine:
    """A line that opens or closes a block. `info` is what follows the marks; closing: ""."""

    indent: str
    marks: str
    info: str

    def closed_by(self, other: FenceLine) -> bool:
        """Whether `other` may close the block that this line opens."""
        return (
            not other.info
            and other.marks[0] == self.marks[0]
            and len(other.marks) >= len(self.marks)
        )

    def holds(self, other: FenceLine) -> bool:
        """Whether `other` opens a block of the same kind inside this one."""
        return (
            bool(other.info)
            and other.marks[0] == self.marks[0]
            and len(other.marks) >= len(self.marks)
        )


@dataclass(frozen=True, slots=True)
class Fence:
    r"""A fenced block: lines `start` (the opening) to `end` (the line after it), counted from 0.

    `body` ends with "\n" unless it is empty. `closed` is False where something cut it off.
    """

    info: str
    body: str
    start: int
    end: int
    closed: bool

    @property
    def language(self) -> str:
        """The first word of the info string, in lower case."""
        words = re.split(r"[\s:{,]", self.info.lstrip("{.").lower(), maxsplit=1)
        return words[0]


@lru_cache(maxsize=4096)  # nested blocks make each line be looked at several times
def fence_line(line: str) -> FenceLine | None:
    """The fence mark that `line` is, or None."""
    found = _FENCE.match(line)
    if found is None:
        return None
    indent, marks, info = found.groups()
    if marks[0] == "`" and "`" in info:
        return None  # code in a line of prose
    return FenceLine(indent, marks, info)


def closings(
    lines: Sequence[str],
    start: int,
    opening: FenceLine,
    stop: int | None = None,
    first: bool = False,
) -> list[int]:
    """The lines before `stop` that could close the block opened in line `start`, likeliest first.

    Inner blocks with an info string are skipped where their closings add up. `first` asks for no
    more than the likeliest.
    """
    end = len(lines) if stop is None else stop
    depth = 1
    flat: list[int] = []
    balanced: list[int] = []
    for number in range(start + 1, end):
        found = fence_line(lines[number])
        if found is None:
            continue
        if opening.holds(found):
            depth += 1
        elif opening.closed_by(found):
            flat.append(number)
            depth -= 1
            if depth == 0:
                balanced.append(number)
                depth = 1
                if first:
                    return balanced
    known = set(balanced)
    return [*balanced, *(n for n in flat if n not in known)]


def fences(reply: str) -> list[Fence]:
    """The fenced blocks of `reply` in order; what is inside one is not looked into."""
    lines = reply.removesuffix("\n").split("\n")
    result = []
    number = 0
    while number < len(lines):
        opening = fence_line(lines[number])
        if opening is None:
            number += 1
            continue
        close, closed = _close(lines, number, opening)
        body = dedented(lines[number + 1 : close], opening.indent)
        end = close + 1 if closed else close
        result.append(Fence(opening.info, body, number, end, closed))
        number = end
    return result


def _close(lines: Sequence[str], start: int, opening: FenceLine) -> tuple[int, bool]:
    """The line that ends a block, and whether it is a closing mark (else it is not part of it)."""
    ends = closings(lines, start, opening, first=True)
    first = ends[0] if ends else len(lines)
    balanced = _depth(lines, start, first, opening) == 0 if ends else False
    if not balanced:
        # The closings do not add up, so an inner opening is the next block's.
        for number in range(start + 1, first):
            found = fence_line(lines[number])
            if found is not None and opening.holds(found):
                return number, False
    return (first, True) if ends else (len(lines), False)


def _depth(lines: Sequence[str], start: int, end: int, opening: FenceLine) -> int:
    """How many blocks are still open after line `end`."""
    depth = 1
    for line in lines[start + 1 : end + 1]:
        found = fence_line(line)
        if found is not None:
            depth += opening.holds(found) - opening.closed_by(found)
    return depth


def dedented(lines: Sequence[str], indent: str) -> str:
    """The body of a block whose opening is indented by `indent`: that much is taken off."""
    width = len(indent)
    bare = (
        [line[width:] if not line[:width].strip() else line for line in lines] if width else lines
    )
    return "".join(line + "\n" for line in bare)
