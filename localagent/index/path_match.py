"""Which file is meant by a path as people, programs and models write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from localagent.core.errors import OutsideWorkspace
from localagent.index.base import Passage
from localagent.index.query import Query
from localagent.index.ranking import Ranked
from localagent.workspace.workspace import Workspace


def named_among(files: Sequence[str], written: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Those of `files` (sorted) that some of `written` means, each with the first that does."""
    if not written:
        return
    by_last = _by_last(tuple(files))
    likely = {path for text in written for path in by_last.get(_last(text), ())}
    for path in sorted(likely):
        found = next((text for text in written if is_path(path, text)), None)
        if found is not None:
            yield path, found


@lru_cache(maxsize=4)
def _by_last(files: tuple[str, ...]) -> dict[str, list[str]]:
    """Paths by their last part, with and without its ending: a repository has many thousands."""
    found: dict[str, list[str]] = {}
    for path in files:
        last = _last(path)
        for name in {last, PurePosixPath(last).stem}:
            found.setdefault(name, []).append(path)
    return found


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def of_frame(workspace: Workspace, written: str, files: Sequence[str]) -> str | None:
    """The file of this workspace that a frame's path means."""
    try:
        inside = workspace.relative(written)
    except OutsideWorkspace:
        return None
    if inside in files:
        return inside
    hits = [path for path in files if path.endswith("/" + inside)]
    return hits[0] if len(hits) == 1 else None


def is_path(path: str, written: str) -> bool:
    """Whether `written` (a path, the end of one, or a dotted module) means `path`."""
    bare = written.removeprefix("./").strip("/")
    if not bare:
        return False
    stem = str(PurePosixPath(path).with_suffix(""))
    return any(
        name == bare or name.endswith("/" + bare) or bare.endswith("/" + name)
        for name in (path, stem if "/" in bare else path)
    )


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
