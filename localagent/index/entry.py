"""A file on its way into the index: as it is listed, and with what is kept of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from localagent.index.digest import Digest

RACY = 2_000_000_000
"""Nanoseconds. A file that was changed so shortly before it was read may change again without its
time changing, on a file system with coarse times; its time is not believed the next time."""

NEVER = -1
"""A modification time that no file has: the file is compared by its content."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file on disk: modification time in nanoseconds, size in bytes."""

    path: str
    mtime: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A file to put into the index."""

    path: str
    mtime: int
    size: int
    digest: Digest
    path_words: str
    symbol_words: str


def believed(file: Listed) -> int:
    """The modification time to keep of a file that is read now."""
    return NEVER if time.time_ns() - file.mtime < RACY else file.mtime
