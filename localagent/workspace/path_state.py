"""What a path is, as a plain value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

PathKind = Literal["file", "symlink", "dir", "absent", "special"]


@dataclass(frozen=True, slots=True)
class PathState:
    """What a path is. Two states are equal where kind, mode and content are.

    `mode` is S_IMODE of files and folders, None where there is none to speak of. `sha256` is of
    a file's bytes or of a link's target. `size` is in bytes; `stamp` (inode, size, mtime in ns)
    tells cheaply whether a path was written since.
    """

    kind: PathKind
    mode: int | None = None
    sha256: str = ""
    size: int = field(default=0, compare=False)
    uid: int | None = field(default=None, compare=False)
    gid: int | None = field(default=None, compare=False)
    stamp: tuple[int, int, int] | None = field(default=None, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        if self.kind == "absent":
            return {"kind": "absent"}
        return {
            "kind": self.kind,
            "mode": self.mode,
            "sha256": self.sha256,
            "size": self.size,
            "uid": self.uid,
            "gid": self.gid,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PathState:
        """The state that `to_dict` made `data` of. Raises KeyError or TypeError."""
        return cls(**{name: data[name] for name in data if name != "stamp"})


ABSENT = PathState("absent")
