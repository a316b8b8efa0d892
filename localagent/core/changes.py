"""A change of one path in the workspace, as a plain value.

Tools, sandboxes and the journal exchange changes; only `journal.checkpoint` carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "symlink", "dir", "absent"]


@dataclass(frozen=True, slots=True)
class Change:
    """What `path` shall be afterwards.

    `path` is relative to the workspace, with `/` between its parts. For a `file`, `data` holds its
    bytes; for a `symlink`, its target as `os.fsencode` gives it; otherwise it is empty. `mode` is
    the permission bits (`None`: those the path has, or 0o644 for a new file and 0o755 for a new
    directory).
    """

    path: str
    kind: Kind
    data: bytes = b""
    mode: int | None = None


def file_change(path: str, data: bytes, mode: int | None = None) -> Change:
    """A change that makes `path` a file holding `data`."""
    return Change(path, "file", data, mode)


def deletion(path: str) -> Change:
    """A change that removes `path`."""
    return Change(path, "absent")
