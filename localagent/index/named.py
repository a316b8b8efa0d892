"""What a query names outright: files by their paths, and the frames of a traceback."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localagent.index.base import Passage
from localagent.index.path_match import named_among
from localagent.index.query import Query
from localagent.index.ranking import Ranked

NAMED, FRAME = 10.0, 5.0
"""What is added to the best score for a file that the query names, and for the innermost frame."""


def raise_named(found: dict[str, Ranked], asked: Query, files: Sequence[str]) -> set[str]:
    """Put the files that the query names before all others; returns their paths."""
    highest = _highest(found)
    named: set[str] = set()
    for path, written in named_among(files, asked.paths):
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += highest + NAMED
        one.reasons.insert(0, f"the query names {written}")
        named.add(path)
    return named


Piece = Callable[[str, int], tuple[str, int, int] | None]
"""Which piece of a file a line is in: its definition's name, its first and last line."""


def raise_frames(found: dict[str, Ranked], frames: Sequence[tuple[str, int]], piece: Piece) -> None:
    """Raise the files of a traceback (outermost first), the innermost frame most."""
    highest = _highest(found)
    seen: set[str] = set()
    for depth, (path, line) in enumerate(reversed(frames)):
        if path in seen:
            continue
        seen.add(path)
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += (highest + FRAME) * (1 - 0.5 * depth / len(frames))
        one.reasons.insert(0, f"the traceback passes line {line}")
        name, first, last = piece(path, line) or ("", line, line)
        one.passages.insert(0, Passage(path, name, first, last, one.score))


def _highest(found: dict[str, Ranked]) -> float:
    return max((one.score for one in found.values()), default=1.0)
