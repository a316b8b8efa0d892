"""A change of one path in the workspace, as a plain value.

Tools, sandboxes and checkpoints exchange changes; only `history.checkpoints` applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "symlink", "dir", "absent"]


@dataclass(frozen=True, slots=True)
class Change:
    """The new state of `path`.

    `path` is relative to the workspace, with `/` between its parts. `data` holds the bytes of a
    `file`, or the target of a `symlink` as `os.fsencode` gives it. `mode` is the permission bits;
    None keeps the present bits, or means 0o644 for a new file and 0o755 for a new directory.
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
