"""Scratch folders: private, and gone when the process that made them is.

A process has one folder below a base, with a lock on it while it lives; the views are numbered
folders in there. Whoever opens a scratch next removes the folders of the dead.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.core.locks import locked

_LOCK = "lock"
_PREFIX = "agent-"


def bases() -> list[Path]:
    """Where scratch folders may lie, best first: the cache, then what most systems have.

    Not every file system can hold the upper layer of an overlay (NFS and overlays cannot).
    """
    found = [paths.cache_dir() / "scratch"]
    if hasattr(os, "getuid"):
        name = f"localagent-{os.getuid()}"
        found += [Path("/var/tmp") / name, Path("/dev/shm") / name]
    return found


class Scratch:
    """The scratch folder of this process below `base`.

    `covers` is a folder with an empty `folder` and an empty `file`, to lay over what is hidden.
    Raises SandboxError where it cannot be made.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._numbers = itertools.count(1)
        try:
            paths.private(base)
            _must_be_ours(base)
            with locked(base / _LOCK):
                _remove_dead(base)
                self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
                held = _try_lock(self.folder / _LOCK)
            self.covers = _covers(self.folder)
        except OSError as error:
            raise SandboxError(
                f"cannot make a scratch folder in {base}: {error.strerror or error}",
                "check that the disk is not full and that the folder is yours",
            ) from None
        self._finish = weakref.finalize(self, _end, self.folder, held, os.getpid())

    def new(self) -> Path:
        """A new, empty folder for one view."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        return folder

    def discard(self, folder: Path) -> None:
        """Remove the folder of a view, without anyone waiting for it."""
        threading.Thread(target=remove_tree, args=(folder,), daemon=True).start()

    def close(self) -> None:
        """Remove the folder with everything in it."""
        self._finish()


class Scratches:
    """The scratch folders of one sandbox; `base` is where they lie rather than in `bases()`."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = base
        self._made: dict[Path, Scratch] = {}

    def outside(self, workspace: Path) -> Scratch:
        """The scratch outside of `workspace`: a view must not lie in what it shows.

        Raises SandboxError where there is none.
        """
        candidates = [self._base] if self._base else []
        for base in [*candidates, *bases()]:
            if not base.resolve().is_relative_to(workspace):
                if base not in self._made:
                    self._made[base] = Scratch(base)
                return self._made[base]
        raise SandboxError(f"there is no room for a scratch folder outside {workspace}")

    def close(self) -> None:
        """Remove them all. They can be made again afterwards."""
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
        return  # a forked copy of the process that owns it
    if held is not None:
        os.close(held)
    remove_tree(folder)


def _must_be_ours(base: Path) -> None:
    """In a folder that everybody writes to, somebody else may have made `base` beforehand."""
    found = base.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "not a folder")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise PermissionError(13, "it belongs to another user")


def _try_lock(path: Path) -> int | None:
    """The locked file's descriptor, or None where another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if sys.platform == "win32":
        return descriptor  # an open file cannot be deleted there, which `_dead` relies on
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_dead(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        if _dead(folder):
            remove_tree(folder)


def _dead(folder: Path) -> bool:
    if sys.platform == "win32":
        try:
            (folder / _LOCK).unlink(missing_ok=True)
        except OSError:
            return False
        return True
    held = _try_lock(folder / _LOCK)
    if held is None:
        return False
    os.close(held)
    return True


def remove_tree(folder: Path) -> None:
    """Remove `folder` whatever is in it: folders without permissions, very deep ones.

    What still resists is left for the next start.
    """
    with suppress(FileNotFoundError, RecursionError, OSError):
        shutil.rmtree(folder)
        return
    for parent, names, _ in os.walk(folder):  # top down: a folder is opened before it is entered
        for name in names:
            path = Path(parent, name)
            with suppress(OSError):
                if not path.is_symlink():
                    path.chmod(0o700)
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    if folder.exists() and os.name == "posix":
        # rm goes down by descriptors, so no depth is too deep for it.
        subprocess.run(["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
