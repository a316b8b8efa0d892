"""A view of the workspace as a copy of its files, for where there is no overlay.

What git ignores and has a folder of its own (.venv, node_modules, build) is linked, not copied:
tools need it and it may be large. `.git` is left out.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from localagent.changes import Change
from localagent.guard.sandbox.overlay import (
    Budget,
    deleted,
    entry_change,
    is_cache,
    readable,
    same_mode,
)
from localagent.workspace import Workspace

_FICLONE = 0x40049409  # linux/fs.h: share the blocks of a file with another


class Copy:
    """The copy `tree` (made here) of the folder `root`. Raises OSError where it cannot be made."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.tree = tree
        self._root = root
        # How each entry was when it had just been copied; None for what was linked.
        self._made: dict[str, os.stat_result | None] = {}
        self._workspace = Workspace.open(root)
        folders = _folders_with_files(self._workspace.files())
        tree.mkdir()
        self._fill("", folders)
        tree.chmod(stat.S_IMODE(root.stat().st_mode) | 0o700)

    def _fill(self, rel: str, folders: frozenset[str]) -> None:
        with os.scandir(self._root / rel) as entries:
            for entry in entries:
                name = f"{rel}/{entry.name}" if rel else entry.name
                if entry.name == ".git":
                    continue
                found = entry.stat(follow_symlinks=False)
                target = self.tree / name
                if not stat.S_ISDIR(found.st_mode):
                    self._copy_file(name, found)
                elif name in folders or not self._workspace.ignored(name):
                    target.mkdir()
                    self._fill(name, folders)
                    target.chmod(stat.S_IMODE(found.st_mode) | 0o700)
                    self._made[name] = target.lstat()
                elif not is_cache(name):
                    _link(self._root / name, target)
                    self._made[name] = None

    def _copy_file(self, name: str, found: os.stat_result) -> None:
        source, target = self._root / name, self.tree / name
        if stat.S_ISLNK(found.st_mode):
            _link(source.readlink(), target)
        elif stat.S_ISREG(found.st_mode):
            try:
                _copy_content(source, target)
            except PermissionError:
                return  # what the user cannot read, the command could not either
            shutil.copystat(source, target)
        else:
            return
        if os.path.lexists(target):
            self._made[name] = target.lstat()

    def changes(self) -> tuple[Change, ...]:
        """How the copy differs from what was copied, sorted by path, caches left out."""
        seen: set[str] = set()
        found = list(self._changed("", seen, Budget()))
        for name, made in self._made.items():
            if name not in seen and not is_cache(name):
                where = (self._root / name).lstat() if made is None else made
                if made is None or not stat.S_ISDIR(made.st_mode):
                    found += deleted(str(self._root), name, where)
                else:
                    found.append(Change(name, "absent"))
        unique = {change.path: change for change in reversed(found)}
        return tuple(unique[path] for path in sorted(unique))

    def _changed(self, rel: str, seen: set[str], budget: Budget) -> Iterator[Change]:
        folder = str(self.tree / rel)
        with readable(folder), os.scandir(folder) as entries:
            for entry in list(entries):
                name = f"{rel}/{entry.name}" if rel else entry.name
                if is_cache(name):
                    continue
                found = entry.stat(follow_symlinks=False)
                seen.add(name)
                if name in self._made and self._made[name] is None and entry.is_symlink():
                    continue
                yield from self._entry(name, found, seen, budget)

    def _entry(
        self, name: str, found: os.stat_result, seen: set[str], budget: Budget
    ) -> Iterator[Change]:
        made = self._made.get(name)
        if stat.S_ISDIR(found.st_mode):
            if made is None or not stat.S_ISDIR(made.st_mode) or not same_mode(made, found):
                yield Change(name, "dir", mode=stat.S_IMODE(found.st_mode) & 0o777)
            yield from self._changed(name, seen, budget)
        elif made is None or not _untouched(made, found):
            change = entry_change(str(self.tree / name), name, found, budget)
            if change is not None and not self._as_before(change):
                yield change

    def _as_before(self, change: Change) -> bool:
        """Whether a touched entry still is what the workspace has."""
        path = self._root / change.path
        try:
            found = path.lstat()
            if change.kind == "symlink":
                return stat.S_ISLNK(found.st_mode) and os.fsencode(path.readlink()) == change.data
            return (
                stat.S_ISREG(found.st_mode)
                and stat.S_IMODE(found.st_mode) & 0o777 == change.mode
                and found.st_size == len(change.data)
                and path.read_bytes() == change.data
            )
        except OSError:
            return False


def _folders_with_files(files: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for name in files:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(found)


def _untouched(made: os.stat_result, found: os.stat_result) -> bool:
    return (made.st_ino, made.st_size, made.st_mtime_ns, made.st_mode) == (
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_mode,
    )


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        pass  # Windows without the privilege to make links: the view does without


def _copy_content(source: Path, target: Path) -> None:
    """Copy by sharing blocks where the file system can, else by the system's quickest way."""
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            import fcntl

            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except (ImportError, OSError):
            pass
        else:
            return
    shutil.copyfile(source, target)
