"""Matches paths as users, programs and models write them with files of the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from localagent.core.errors import OutsideWorkspace
from localagent.index.base import Passage
from localagent.index.query import Query
from localagent.index.ranking import Ranked
from localagent.workspace.workspace import Workspace


def matching_paths(files: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The paths of `files` (sorted) that some text means, each with the first such text."""
    if not texts:
        return
    by_last = _by_last(tuple(files))
    likely = {path for text in texts for path in by_last.get(_last(text), ())}
    for path in sorted(likely):
        found = next((text for text in texts if is_path(path, text)), None)
        if found is not None:
            yield path, found


@lru_cache(maxsize=4)
def _by_last(files: tuple[str, ...]) -> dict[str, list[str]]:
    """Paths by their last part, with and without its suffix."""
    found: dict[str, list[str]] = {}
    for path in files:
        last = _last(path)
        for name in {last, PurePosixPath(last).stem}:
            found.setdefault(name, []).append(path)
    return found


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def frame_path(workspace: Workspace, text: str, files: Sequence[str]) -> str | None:
    """The file of this workspace that a frame's path means."""
    try:
        inside = workspace.relative(text)
    except OutsideWorkspace:
        return None
    if inside in files:
        return inside
    hits = [path for path in files if path.endswith("/" + inside)]
    return hits[0] if len(hits) == 1 else None


def is_path(path: str, text: str) -> bool:
    """Whether `text` (a path, the end of one, or a dotted module) means `path`."""
    bare = text.removeprefix("./").strip("/")
    if not bare:
        return False
    stem = str(PurePosixPath(path).with_suffix(""))
    return any(
        name == bare or name.endswith("/" + bare) or bare.endswith("/" + name)
        for name in (path, stem if "/" in bare else path)
    )


PATH_BOOST, FRAME_BOOST = 10.0, 5.0
"""Boosts over the best score: of a file that the query names, and of the innermost frame."""


def boost_paths(found: dict[str, Ranked], query: Query, files: Sequence[str]) -> set[str]:
    """Put the files that the query names before all others; return their paths."""
    highest = _highest(found)
    named: set[str] = set()
    for path, text in matching_paths(files, query.paths):
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += highest + PATH_BOOST
        one.reasons.insert(0, f"the query names {text}")
        named.add(path)
    return named


Piece = Callable[[str, int], tuple[str, int, int] | None]
"""The piece of a file (path) around a line: the definition's name, first and last line."""


def boost_frames(found: dict[str, Ranked], frames: Sequence[tuple[str, int]], piece: Piece) -> None:
    """Raise the files of a traceback (outermost first), the innermost frame most."""
    highest = _highest(found)
    seen: set[str] = set()
    for depth, (path, line) in enumerate(reversed(frames)):
        if path in seen:
            continue
        seen.add(path)
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += (highest + FRAME_BOOST) * (1 - 0.5 * depth / len(frames))
        one.reasons.insert(0, f"the traceback passes line {line}")
        name, first, last = piece(path, line) or ("", line, line)
        one.passages.insert(0, Passage(path, name, first, last, one.score))


def _highest(found: dict[str, Ranked]) -> float:
    return max((one.score for one in found.values()), default=1.0)
