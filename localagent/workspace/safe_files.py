"""Files below one folder, reached without ever following a link.

A path is opened part by part, each relative to the folder opened before it and with O_NOFOLLOW,
so a folder that is swapped for a link between a check and its use leads to an error and not out
of the workspace. Where the system has no such calls (Windows), every part is looked at first.

Only `journal.transition` calls the methods that write. Paths are relative to the root, with `/`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localagent.core.errors import OutsideWorkspace
from localagent.workspace.path_state import ABSENT, PathState


def _copy_attributes(fd: int, old: str, dir_fd: int | None, after: PathState) -> None:
    """Give the open file `fd` the extended attributes that the file `old` (relative to the folder
    `dir_fd`) has, and the owner and mode of `after`.

    The mode comes last: a change of owner or of an access list changes it, too.
    """
    if after.uid is not None and after.gid is not None and hasattr(os, "fchown"):
        _chown(fd, os.fstat(fd), after.uid, after.gid)
    _copy_xattrs(fd, old, dir_fd)
    if after.mode is not None and hasattr(os, "fchmod"):
        os.fchmod(fd, after.mode)


def _chown(fd: int, found: os.stat_result, uid: int, gid: int) -> None:
    """Change the owner as far as we may: root may all, others may choose among their groups."""
    if (found.st_uid, found.st_gid) == (uid, gid):
        return
    try:
        os.fchown(fd, uid if os.geteuid() == 0 else -1, gid)
    except PermissionError:
        pass


def _copy_xattrs(fd: int, old: str, dir_fd: int | None) -> None:
    """Copy extended attributes (access lists, labels) from `old`, those that we may copy."""
    if not hasattr(os, "listxattr"):
        return
    try:
        source = os.open(old, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    except OSError:
        return  # a new file, or one that was a link
    try:
        for key in os.listxattr(source):
            try:
                os.setxattr(fd, key, os.getxattr(source, key))
            except OSError:
                continue  # reserved to the system, or not supported here
    except OSError:
        pass
    finally:
        os.close(source)


_DIR_FDS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_MODES = os.name != "nt"  # Windows knows only a read-only flag
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a fifo that was swapped in must not block us
)
_FOLDER = _READ | getattr(os, "O_DIRECTORY", 0)
_CREATE = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_CHUNK = 1 << 20
_MAX_LINKS = 40  # as the kernel's own limit


@dataclass(frozen=True, slots=True)
class _Folder:
    """An open folder: `at(name)` and `fd` are what os functions take as path and dir_fd."""

    fd: int | None
    base: str

    def at(self, name: str) -> str:
        return name if self.fd is not None else str(Path(self.base, name))


class SafeDir:
    """One folder and what is below it. Use as a context manager.

    All methods raise OSError as the system does; NotADirectoryError or ELOOP where a part of the
    path is a link.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self._fd: int | None = None

    def __enter__(self) -> SafeDir:
        if _DIR_FDS:
            self._fd = os.open(self.root, _FOLDER)
        elif not self.root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(self.root))
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # Looking

    @property
    def mode(self) -> int | None:
        """The mode of the root itself."""
        return stat.S_IMODE(self.root.stat().st_mode) if _MODES else None

    @property
    def has_modes(self) -> bool:
        """Whether this system has modes to speak of."""
        return _MODES

    def resolve(self, path: str, *, last: bool, fixed: frozenset[str] = frozenset()) -> str:
        """`path` with its links replaced by what they point to, relative to the root.

        `last` says whether a link in the last part is followed, too. Links at a path of `fixed`
        are taken for plain folders: they are about to be replaced.
        Raises OutsideWorkspace where a link leads out or in a circle.
        """
        todo = path.split("/")
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    raise _outside(path)
                done.pop()
                continue
            done.append(part)
            here = "/".join(done)
            if here in fixed or not (todo or last):
                continue
            target = self._link(here)
            if target is None:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise OutsideWorkspace(f"{path}: its links lead in a circle")
            done.pop()
            if Path(target).is_absolute():
                done, target = [], self._below_root(path, target)
            todo[:0] = target.replace(os.sep, "/").split("/")
        if not done:
            raise _outside(path)
        return "/".join(done)

    def _link(self, path: str) -> str | None:
        """Where the link `path` points to, or None where it is no link."""
        try:
            with self._folder_of(path) as (folder, name):
                return os.readlink(folder.at(name), dir_fd=folder.fd)
        except OSError:
            return None

    def _below_root(self, path: str, target: str) -> str:
        """An absolute link target, relative to the root."""
        real = Path(os.path.realpath(target))
        if not real.is_relative_to(self.root):
            raise _outside(path)
        return real.relative_to(self.root).as_posix()

    def state(self, path: str) -> PathState:
        """What `path` is now; its content is read and hashed."""
        found = self.stat(path)
        if found.kind == "symlink":
            target = os.fsencode(self._link(path) or "")
            digest = hashlib.sha256(target).hexdigest()
            return PathState("symlink", None, digest, len(target), stamp=found.stamp)
        if found.kind != "file":
            return found
        hashed = hashlib.sha256()
        with self.open(path) as file:
            while chunk := file.read(_CHUNK):
                hashed.update(chunk)
        digest = hashed.hexdigest()
        return PathState("file", found.mode, digest, found.size, found.uid, found.gid, found.stamp)

    def stat(self, path: str) -> PathState:
        """What `path` is now, without its content (`sha256` is empty)."""
        try:
            with self._folder_of(path) as (folder, name):
                found = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        except OSError as error:
            if error.errno == errno.ELOOP:
                return ABSENT
            raise
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        mode = stat.S_IMODE(found.st_mode) if _MODES else None
        if stat.S_ISLNK(found.st_mode):
            return PathState("symlink", stamp=stamp)
        if stat.S_ISREG(found.st_mode):
            return PathState("file", mode, "", found.st_size, found.st_uid, found.st_gid, stamp)
        if stat.S_ISDIR(found.st_mode):
            return PathState("dir", mode, "", 0, found.st_uid, found.st_gid)
        return PathState("special", mode)

    def open(self, path: str) -> BinaryIO:
        """The file `path`, to be read."""
        with self._folder_of(path) as (folder, name):
            fd = os.open(folder.at(name), _READ, dir_fd=folder.fd)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
        except OSError:
            os.close(fd)
            raise
        return os.fdopen(fd, "rb")

    def content(self, path: str, state: PathState) -> BinaryIO:
        """The bytes of a file, or the target of a link, to be read."""
        if state.kind == "symlink":
            return io.BytesIO(os.fsencode(self._link(path) or ""))
        return self.open(path)

    def children(self, path: str) -> list[str]:
        """The paths of what the folder `path` holds, sorted."""
        with self._folder_of(path) as (folder, name):
            if folder.fd is None:
                names = [entry.name for entry in Path(folder.at(name)).iterdir()]
            else:
                fd = os.open(name, _FOLDER, dir_fd=folder.fd)
                try:
                    names = os.listdir(fd)  # noqa: PTH208 - of an open folder
                finally:
                    os.close(fd)
        return [f"{path}/{name}" for name in sorted(names)]

    def writable(self, path: str) -> bool:
        """Whether the file `path` is meant to be written by us: its mode and owner allow it."""
        with self._folder_of(path) as (folder, name):
            found = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=False)
            # To root every file is writable; a mode without any write bit still says "hands off".
            return bool(found.st_mode & 0o222) and os.access(
                folder.at(name), os.W_OK, dir_fd=folder.fd
            )

    # Writing

    def stage(
        self, path: str, temp: str, content: BinaryIO, after: PathState, *, sync: bool
    ) -> None:
        """Write `content` to the file `temp` beside `path`, with the mode, owner and extended
        attributes that `path` shall have, and with `sync` down to the disk."""
        with self._folder_of(path) as (folder, name):
            fd = os.open(folder.at(temp), _CREATE, 0o600, dir_fd=folder.fd)
            with os.fdopen(fd, "wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
                file.flush()
                _copy_attributes(file.fileno(), folder.at(name), folder.fd, after)
                if sync:
                    os.fsync(file.fileno())

    def stage_link(self, path: str, temp: str, target: bytes) -> None:
        """Make a link named `temp` beside `path`."""
        with self._folder_of(path) as (folder, _):
            os.symlink(os.fsdecode(target), folder.at(temp), dir_fd=folder.fd)

    def rename(self, path: str, temp: str) -> None:
        """Put the staged `temp` in the place of `path`, in one step."""
        with self._folder_of(path) as (folder, name):
            os.replace(folder.at(temp), folder.at(name), src_dir_fd=folder.fd, dst_dir_fd=folder.fd)

    def discard(self, path: str, temp: str) -> bool:
        """Remove `temp` beside `path`; False where there is none."""
        try:
            with self._folder_of(path) as (folder, _):
                os.unlink(folder.at(temp), dir_fd=folder.fd)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False
            raise
        return True

    def unlink(self, path: str) -> None:
        """Remove a file or link."""
        with self._folder_of(path) as (folder, name):
            os.unlink(folder.at(name), dir_fd=folder.fd)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        with self._folder_of(path) as (folder, name):
            os.rmdir(folder.at(name), dir_fd=folder.fd)

    def mkdir(self, path: str, mode: int) -> None:
        """Make a folder."""
        with self._folder_of(path) as (folder, name):
            os.mkdir(folder.at(name), mode, dir_fd=folder.fd)

    def set_folder(self, path: str, after: PathState) -> None:
        """Give the folder `path` the mode and, as root, the owner of `after`."""
        if not _DIR_FDS or after.mode is None:
            return
        with self._opened(path) as fd:
            found = os.fstat(fd)
            if after.uid is not None and after.gid is not None:
                _chown(fd, found, after.uid, after.gid)
            if stat.S_IMODE(found.st_mode) != after.mode:
                os.fchmod(fd, after.mode)

    def sync(self, path: str) -> None:
        """Wait until the names in the folder that holds `path` are on the disk."""
        try:
            with self._folder_of(path) as (folder, _):
                if folder.fd is not None:
                    os.fsync(folder.fd)
        except OSError as error:
            # ENOENT, ENOTDIR: the folder itself was removed, and its parent is synced, too.
            # EINVAL: a file system (some network ones) that cannot sync folders.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                raise

    @contextmanager
    def _opened(self, path: str) -> Iterator[int]:
        with self._folder_of(path) as (folder, name):
            fd = os.open(name, _FOLDER, dir_fd=folder.fd)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[_Folder, str]]:
        """The folder that holds `path`, and the last part of `path`."""
        *parents, name = path.split("/")
        if self._fd is None:
            yield _Folder(None, self._plain(parents)), name
            return
        fd = os.dup(self._fd)
        try:
            for part in parents:
                below = os.open(part, _FOLDER, dir_fd=fd)
                os.close(fd)
                fd = below
            yield _Folder(fd, ""), name
        finally:
            os.close(fd)

    def _plain(self, parents: list[str]) -> str:
        """The folder `parents` for systems without dir_fd; a link among them is an error."""
        here = self.root
        for part in parents:
            here = here / part
            is_junction = getattr(here, "is_junction", None)  # Python 3.12 and later
            if here.is_symlink() or (is_junction is not None and is_junction()):
                raise NotADirectoryError(errno.ENOTDIR, "a link on the path", str(here))
        return str(here)


def _outside(path: str) -> OutsideWorkspace:
    return OutsideWorkspace(
        f"{path} leads out of the workspace", "only files inside the workspace can be changed"
    )
