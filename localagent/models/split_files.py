"""Models in several GGUF files: NAME-00001-of-00003.gguf and so on.

The first file has the metadata; each has some of the tensors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from localagent.models import gguf

_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")


def parts_by_name(path: Path) -> tuple[Path, ...]:
    """All files of the model that `path` belongs to; only `path` if its name is no part's."""
    match = _NAME.fullmatch(path.name)
    if match is None or not 1 < int(match[3]) <= gguf.MAX_PARTS:
        return (path,)
    numbers = range(1, int(match[3]) + 1)
    names = (f"{match[1]}-{number:05d}-of-{match[3]}.gguf" for number in numbers)
    return tuple(path.with_name(name) for name in names)


def read(paths: Sequence[Path]) -> gguf.Header:
    """Read the header of a model in one file or several; the sizes are those of all files.

    Raises GgufError and OSError.
    """
    first, *others = (gguf.read(path) for path in paths)
    if first.parts != len(paths):
        return replace(first, unusable=first.unusable or _wrong_count(first, paths))
    for number, (other, path) in enumerate(zip(others, paths[1:], strict=True), 2):
        if (other.part, other.parts) != (number, first.parts):
            return replace(first, unusable=f"{path.name} is not part {number} of it")
        if other.cut:
            return replace(first, unusable=f"{path.name} is cut short")
    every = (first, *others)
    return replace(
        first,
        size=sum(header.size for header in every),
        parameters=sum(header.parameters for header in every),
        expert_bytes=sum(header.expert_bytes for header in every),
    )


def read_by_name(path: Path) -> gguf.Header:
    """Read the header of the model that begins with the file at `path`.

    Raises GgufError and OSError.
    """
    paths = parts_by_name(path)
    missing = [part.name for part in paths if not part.exists()]
    if path != paths[0] or not missing:
        return read(paths if path == paths[0] else (path,))
    header = gguf.read(path)
    return replace(header, unusable=header.unusable or f"{missing[0]} is not beside it")


def _wrong_count(first: gguf.Header, paths: Sequence[Path]) -> str:
    if len(paths) == 1:
        return f"its name must end in -00001-of-{first.parts:05d}.gguf, as it has so many parts"
    return f"it has {first.parts} parts, not {len(paths)}"
