# ruff: noqa: PTH101, PTH115, PTH123, PTH208
# (os.* keeps names that are not UTF-8 as they are, and is quicker)
"""Reading what changed from the upper folder of an overlay.

An overlay keeps changed files whole in its upper folder. What was deleted is a character device
0/0 there, and a folder that replaces another is marked opaque by an extended attribute
(Documentation/filesystems/overlayfs.rst of the kernel, "whiteouts and opaque directories").
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import SandboxError

MAX_BYTES = 256 << 20  # of changed files, taken over into memory
_OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")
_PERMISSIONS = 0o777

_CACHE_FOLDERS = frozenset(
    ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")
)
_CACHE_SUFFIXES = (".pyc", ".pyo")


def is_cache(path: str) -> bool:
    """Whether `path` (relative, with `/`) is what tools make again by themselves."""
    parts = path.split("/")
    if not _CACHE_FOLDERS.isdisjoint(parts) or path.endswith(_CACHE_SUFFIXES):
        return True
    return any(pair == ("node_modules", ".cache") for pair in pairwise(parts))


def changes(upper: Path, lower: Path) -> tuple[Change, ...]:
    """How the overlay of `upper` on `lower` differs from `lower`, sorted by path.

    Raises SandboxError where there is too much to take over.
    """
    reader = _Reader(str(upper), str(lower))
    found = reader.folder("", below=True, opaque=False)
    return tuple(sorted(found, key=lambda change: change.path))


class Budget:
    """The bytes that may still be read."""

    def __init__(self, left: int = MAX_BYTES) -> None:
        self._left = left

    def take(self, size: int) -> None:
        """Raises SandboxError where `size` is more than is left."""
        self._left -= size
        if self._left < 0:
            raise SandboxError(
                f"the command wrote more than {MAX_BYTES >> 20} MiB into the workspace",
                "let it write large files into the temporary folder ($TMPDIR)",
            )


class _Reader:
    def __init__(self, upper: str, lower: str) -> None:
        self._upper = upper
        self._lower = lower
        self._budget = Budget()

    def folder(self, rel: str, below: bool, opaque: bool) -> Iterator[Change]:
        """The changes below `rel`, which is a folder in the upper layer.

        `below`: the lower layer has a folder of that path, without a link on the way. `opaque`: a
        folder above is, which the kernel does not mark on the folders that are made in it.
        """
        upper = _join(self._upper, rel)
        with readable(upper), os.scandir(upper) as entries:
            names = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
            opaque = opaque or _is_opaque(upper)
            if below and opaque:
                yield from self._gone(rel, set(names))
            for name, found in names.items():
                path = f"{rel}/{name}" if rel else name
                if not is_cache(path):
                    before = _lstat(_join(self._lower, path)) if below else None
                    yield from self._entry(path, found, before, opaque)

    def _entry(
        self, rel: str, found: os.stat_result, before: os.stat_result | None, opaque: bool
    ) -> Iterator[Change]:
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            if before is not None:
                yield from deleted(self._lower, rel, before)
            return
        was_folder = before is not None and stat.S_ISDIR(before.st_mode)
        if stat.S_ISDIR(found.st_mode):
            if before is None or not was_folder or not same_mode(before, found):
                yield Change(rel, "dir", mode=found.st_mode & _PERMISSIONS)
            yield from self.folder(rel, was_folder, opaque)
            return
        if was_folder:
            yield from _inside(self._lower, rel)
        change = entry_change(_join(self._upper, rel), rel, found, self._budget)
        if change is not None and not _same(change, _join(self._lower, rel), before):
            yield change

    def _gone(self, rel: str, names: set[str]) -> Iterator[Change]:
        """What the lower folder has and the opaque upper one does not."""
        for name in os.listdir(_join(self._lower, rel)):
            path = f"{rel}/{name}" if rel else name
            found = _lstat(_join(self._lower, path))
            if name not in names and found is not None and not is_cache(path):
                yield from deleted(self._lower, path, found)


def entry_change(source: str, rel: str, found: os.stat_result, budget: Budget) -> Change | None:
    """The file or link `source` as a change of `rel`; None for sockets, pipes and devices."""
    if stat.S_ISLNK(found.st_mode):
        return Change(rel, "symlink", os.fsencode(os.readlink(source)))
    if not stat.S_ISREG(found.st_mode):
        return None
    budget.take(found.st_size)
    return Change(rel, "file", _content(source), found.st_mode & _PERMISSIONS)


def deleted(root: str, rel: str, found: os.stat_result) -> Iterator[Change]:
    """The deletion of `rel` in `root` and, for a folder, of all that is in it."""
    yield Change(rel, "absent")
    if stat.S_ISDIR(found.st_mode):
        yield from _inside(root, rel)


def _inside(root: str, rel: str) -> Iterator[Change]:
    with os.scandir(_join(root, rel)) as entries:
        for entry in list(entries):
            found = entry.stat(follow_symlinks=False)
            yield from deleted(root, f"{rel}/{entry.name}", found)


def same_mode(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether the permission bits agree."""
    return (one.st_mode ^ other.st_mode) & _PERMISSIONS == 0


def _same(change: Change, lower: str, before: os.stat_result | None) -> bool:
    """Whether the lower layer has the very same entry: an overlay copies also what is touched."""
    if before is None:
        return False
    if change.kind == "symlink":
        return stat.S_ISLNK(before.st_mode) and os.fsencode(os.readlink(lower)) == change.data
    return (
        stat.S_ISREG(before.st_mode)
        and before.st_mode & _PERMISSIONS == change.mode
        and before.st_size == len(change.data)
        and _content(lower) == change.data
    )


def _content(path: str) -> bytes:
    with readable(path), open(path, "rb") as file:
        return file.read()


class readable:
    """Give the owner access to `path` for a while, where the command took it away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mode: int | None = None

    def __enter__(self) -> None:
        mode = os.lstat(self._path).st_mode
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o400
        if mode & wanted != wanted and not os.access(self._path, os.R_OK | os.X_OK):
            os.chmod(self._path, stat.S_IMODE(mode) | wanted)
            self._mode = stat.S_IMODE(mode)

    def __exit__(self, *exc: object) -> None:
        if self._mode is not None:
            os.chmod(self._path, self._mode)


def _is_opaque(folder: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except (OSError, AttributeError):
            continue
    return False


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _join(root: str, rel: str) -> str:
    return f"{root}/{rel}" if rel else root
