"""Scratch folders: private folders that are removed when the process that made them ends.

Each process has one scratch folder below a base, and holds a lock on it. Snapshots are numbered
folders in this scratch folder. If a process dies early, its folder stays until the next process
makes a scratch folder.
"""

from __future__ import annotations

import itertools
import os
import stat
import sys
import tempfile
import threading
import weakref
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.core.locks import locked
from localagent.core.trees import remove_tree

_LOCK = "lock"
_PREFIX = "agent-"


def bases() -> list[Path]:
    """Return the base folders for scratch folders, best first: the user's cache, then shared ones.

    Some file systems cannot hold the upper layer of an overlay (NFS, and overlays themselves).
    """
    folders = [paths.cache_dir() / "scratch"]
    if hasattr(os, "getuid"):
        name = f"localagent-{os.getuid()}"
        folders += [Path("/var/tmp") / name, Path("/dev/shm") / name]
    return folders


class Scratch:
    """The scratch folder of this process below `base`.

    `covers` is a folder with an empty `folder` and an empty `file`, to mount over hidden paths.
    Raises SandboxError if the folder cannot be made.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._numbers = itertools.count(1)
        try:
            paths.private(base)
            _require_ours(base)
            with locked(base / _LOCK):
                _remove_orphans(base)
                self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
                held = _try_lock(self.folder / _LOCK)
            self.covers = _covers(self.folder)
        except OSError as error:
            raise SandboxError(
                f"cannot make a scratch folder in {base}: {error.strerror or error}",
                "check that the disk is not full and that you own the folder",
            ) from None
        self._finish = weakref.finalize(self, _end, self.folder, held, os.getpid())

    def new(self) -> Path:
        """Return a new, empty folder for one snapshot."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        return folder

    def discard(self, folder: Path) -> None:
        """Remove the folder of a snapshot in the background."""
        threading.Thread(target=remove_tree, args=(folder,), daemon=True).start()

    def close(self) -> None:
        """Remove the folder with everything in it."""
        self._finish()


class Scratches:
    """The scratch folders of one sandbox; `base` replaces `bases()`."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = base
        self._made: dict[Path, Scratch] = {}

    def outside(self, workspace: Path) -> Scratch:
        """Return a scratch folder outside of `workspace`, so that no snapshot contains itself.

        Raises SandboxError if no base lies outside.
        """
        candidates = [self._base] if self._base else []
        for base in [*candidates, *bases()]:
            if not base.resolve().is_relative_to(workspace):
                if base not in self._made:
                    self._made[base] = Scratch(base)
                return self._made[base]
        raise SandboxError(f"cannot make a scratch folder outside {workspace}")

    def close(self) -> None:
        """Remove all scratch folders. Afterwards `outside` can make new ones."""
        for scratch in self._made.values():
            scratch.close()
        self._made.clear()


def _covers(folder: Path) -> Path:
    covers = folder / "covers"
    (covers / "folder").mkdir(parents=True)
    (covers / "folder").chmod(0o555)
    (covers / "file").touch(mode=0o444)
    return covers


def _end(folder: Path, held: int | None, owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of the process that owns the folder
    if held is not None:
        os.close(held)
    remove_tree(folder)


def _require_ours(base: Path) -> None:
    """Raise OSError if another user made `base` first, as anyone can in a shared folder."""
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "not a folder")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise PermissionError(13, "it belongs to another user")


def _try_lock(path: Path) -> int | None:
    """Lock a file and return its descriptor; None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if sys.platform == "win32":
        return descriptor  # Windows cannot delete an open file; `_is_orphan` relies on this
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_orphans(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        if _is_orphan(folder):
            remove_tree(folder)


def _is_orphan(folder: Path) -> bool:
    if sys.platform == "win32":
        try:
            (folder / _LOCK).unlink(missing_ok=True)
        except OSError:
            return False
        return True
    try:
        held = _try_lock(folder / _LOCK)
    except FileNotFoundError:
        return False  # its process has just removed it
    if held is None:
        return False
    os.close(held)
    return True
