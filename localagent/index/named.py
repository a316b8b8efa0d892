"""What a query names outright: files by their paths, and the frames of a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from localagent.errors import OutsideWorkspace
from localagent.index.query import Query
from localagent.index.ranking import Passage, Ranked
from localagent.workspace import Workspace

NAMED, FRAME = 10.0, 5.0
"""What is added to the best score for a file that the query names, and for the innermost frame."""


def raise_named(found: dict[str, Ranked], asked: Query, files: Sequence[str]) -> set[str]:
    """Put the files that the query names before all others; returns their paths."""
    highest = _highest(found)
    named: set[str] = set()
    # Looked for first, as it costs a hundredth: a repository has many thousands of files.
    stems = [(written, f"/{PurePosixPath(written).stem}") for written in asked.paths]
    for path in files if stems else ():
        rooted = f"/{path}"
        written = next((w for w, stem in stems if stem in rooted and is_path(path, w)), None)
        if written is not None:
            one = found.setdefault(path, Ranked(path, 0.0))
            one.score += highest + NAMED
            one.reasons.insert(0, f"the query names {written}")
            named.add(path)
    return named


def raise_frames(found: dict[str, Ranked], frames: Sequence[tuple[str, int]]) -> None:
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
        one.passages.insert(0, Passage(path, "", line, line, one.score))


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


def _highest(found: dict[str, Ranked]) -> float:
    return max((one.score for one in found.values()), default=1.0)
