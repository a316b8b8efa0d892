"""Read and write everything below one folder without following links.

`SafeDir` opens a path part by part, each part relative to the folder before it and with O_NOFOLLOW.
If another program replaces a folder on the path by a link, an error is raised, so the path never
leads out of the workspace. Windows has no such calls; there, each part is checked before its use.

Paths are relative to the root, with `/` between the parts. Only `history.checkpoints.transaction`
calls the methods that write.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from localagent.core.errors import OutsideWorkspace
from localagent.workspace.attributes import chown, copy_attributes, set_mode
from localagent.workspace.open_below import DIR_FDS, FOLDER, MAX_LINKS, READ, SAFE, descend

PathKind = Literal["file", "symlink", "dir", "absent", "special"]

_MODES = os.name != "nt"  # Windows has no permission bits, only a read-only flag
_EFFECTIVE = os.access in os.supports_effective_ids
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFE
_CHUNK = 1 << 20
_NO_PATH = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # no such path, or a link on the path


@dataclass(frozen=True, slots=True)
class PathState:
    """The state of a path. Two states are equal if kind, mode and content are the same.

    `mode` holds the permission bits of a file or folder, or is None. `sha256` is the hash of a
    file's bytes or a link's target. `size` is in bytes. `stamp` (inode, size, and mtime in ns)
    changes with each write.
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
        names = ("kind", "mode", "sha256", "size", "uid", "gid")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PathState:
        """Read the state from its JSON form. Raises KeyError or TypeError."""
        return cls(**{name: data[name] for name in data if name != "stamp"})


ABSENT = PathState("absent")


@dataclass(frozen=True, slots=True)
class Unlock:
    """Permissions that `SafeDir` adds to an entry for a while.

    `mode` holds the permission bits before; `unlocked` is the whole st_mode with the added ones.
    """

    path: str
    inode: int
    mode: int
    unlocked: int


class UnlockLog(Protocol):
    """Where `SafeDir` records each unlocked path, so that a killed process leaves none unlocked."""

    def unlock(self, root: Path, unlock: Unlock) -> None:
        """Record on disk what is about to be unlocked below `root`. Raises OSError."""

    def locked(self, root: Path) -> None:
        """Record that everything below `root` has its modes again. Raises OSError."""


def read_entry(root: Path, name: str, limit: int = -1) -> tuple[PathState, bytes]:
    """The state of `name` below `root`, and the first `limit` bytes of its content.

    The content of a link is its target; folders, devices and pipes have no content. A path below a
    link is absent. Raises OSError.
    """
    with SafeDir(root) as folder:
        state = folder.stat(name)
        if state.kind not in ("file", "symlink"):
            return state, b""
        with folder.content(name, state) as file:
            return state, file.read(limit)


def entry_content(root: Path, name: str, limit: int = -1) -> bytes | None:
    """The content of the file or link `name`, as of `read_entry`; None for all else."""
    try:
        state, data = read_entry(root, name, limit)
    except OSError:
        return None
    return data if state.kind in ("file", "symlink") else None


@dataclass(frozen=True, slots=True)
class _Folder:
    """An open folder. Pass `at(name)` as the path and `fd` as dir_fd to functions of `os`."""

    fd: int | None
    base: str

    def at(self, name: str) -> str:
        return name if self.fd is not None else str(Path(self.base, name))


class SafeDir:
    """Access to one folder and everything below it. Use it as a context manager.

    All methods may raise OSError. If a part of the path is a link, the error is NotADirectoryError
    or has the number ELOOP.

    With a `log`, folders and files of this user need no permissions: a method gives itself the
    permissions that it lacks, and the end of the `with` block takes them away again. Until then,
    `stat` and `state` report the modes without them. Without a `log`, PermissionError is raised.
    """

    def __init__(self, root: Path, log: UnlockLog | None = None) -> None:
        self.root = Path(os.path.realpath(root))
        self._log = log
        self._logged = False  # whether the log holds paths that may still be unlocked
        self._fd: int | None = None
        self._unlocked: dict[str, int] = {}  # the modes of paths before they were changed

    def __enter__(self) -> SafeDir:
        if DIR_FDS:
            self._fd = os.open(self.root, FOLDER)
        elif not self.root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(self.root))
        return self

    def __exit__(self, *exc: object) -> None:
        if self._fd is not None:
            try:
                self._lock_again()
            finally:
                os.close(self._fd)
                self._fd = None

    def _lock_again(self) -> None:
        """Restore the modes of all unlocked paths, the last one first."""
        while self._unlocked:
            path, mode = self._unlocked.popitem()
            *parents, name = path.split("/")
            with suppress(OSError):  # the path was deleted
                assert self._fd is not None
                folder = descend(os.dup(self._fd), parents)
                try:
                    set_mode(folder, name, mode)
                finally:
                    os.close(folder)
        if self._logged and self._log is not None:
            with suppress(OSError):  # a later `resume` finds that the modes are restored
                self._log.locked(self.root)
            self._logged = False

    def resume(self, unlocks: Iterable[Unlock]) -> None:
        """Take over what a killed process left unlocked; the end of the block restores the modes.

        A path whose entry or mode is another one now stays as it is.
        """
        for unlock in unlocks:
            self._logged = True
            try:
                with self._folder_of(unlock.path) as (folder, name):
                    status = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=False)
            except OSError as error:
                if error.errno in _NO_PATH:
                    continue
                raise
            if (status.st_ino, status.st_mode) == (unlock.inode, unlock.unlocked):
                self._unlocked.setdefault(unlock.path, unlock.mode)

    def _descend(self, parts: list[str]) -> int:
        """Open the folder at the path `parts`, also without permissions."""
        assert self._fd is not None
        fd = os.dup(self._fd)
        try:
            for number, part in enumerate(parts):
                try:
                    below = os.open(part, FOLDER, dir_fd=fd)
                    if not os.access(".", os.X_OK, dir_fd=below, effective_ids=_EFFECTIVE):
                        os.close(below)
                        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), part)
                except PermissionError:
                    path = "/".join(parts[: number + 1])
                    if not self._unlock(fd, part, path, stat.S_IRWXU):
                        raise
                    below = os.open(part, FOLDER, dir_fd=fd)
                os.close(fd)
                fd = below
        except OSError:
            os.close(fd)
            raise
        return fd

    def _unlock(self, folder: int, name: str, path: str, needed: int) -> bool:
        """Add permissions to an entry of this user; return False for other entries."""
        if self._log is None:
            return False
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.geteuid() or stat.S_ISLNK(status.st_mode) or mode & needed == needed:
            return False
        self._logged = True
        self._log.unlock(self.root, Unlock(path, status.st_ino, mode, status.st_mode | needed))
        set_mode(folder, name, mode | needed)
        self._unlocked.setdefault(path, mode)
        return True

    # Reading

    @property
    def mode(self) -> int | None:
        """The mode of the root itself."""
        return stat.S_IMODE(self.root.stat().st_mode) if _MODES else None

    @property
    def has_modes(self) -> bool:
        """Whether this system has permission bits."""
        return _MODES

    def resolve(self, path: str, *, last: bool, fixed: frozenset[str] = frozenset()) -> str:
        """`path` with its links replaced by their targets, relative to the root.

        With `last`, a link in the last part is followed too. A link at a path in `fixed` is not
        followed, because the caller is about to replace the link. Raises OutsideWorkspace if the
        links lead out of the root or in a circle.
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
            target = None if here in fixed or not (todo or last) else self._link(here)
            if target is None:
                continue
            links += 1
            if links > MAX_LINKS:
                raise OutsideWorkspace(f"the links on the path {path} lead in a circle")
            done.pop()
            if Path(target).is_absolute():
                real = Path(os.path.realpath(target))
                if not real.is_relative_to(self.root):
                    raise _outside(path)
                done, target = [], real.relative_to(self.root).as_posix()
            todo[:0] = target.replace(os.sep, "/").split("/")
        if not done:
            raise _outside(path)
        return "/".join(done)

    def _link(self, path: str) -> str | None:
        """The target of the link `path`; None for any other path."""
        try:
            with self._folder_of(path) as (folder, name):
                return os.readlink(folder.at(name), dir_fd=folder.fd)
        except OSError:
            return None

    def state(self, path: str) -> PathState:
        """The present state of `path`, with the hash of its content."""
        status = self.stat(path)
        if status.kind == "symlink":
            target = os.fsencode(self._link(path) or "")
            digest = hashlib.sha256(target).hexdigest()
            return PathState("symlink", None, digest, len(target), stamp=status.stamp)
        if status.kind != "file":
            return status
        with self.open(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        values = (status.mode, digest, status.size, status.uid, status.gid, status.stamp)
        return PathState("file", *values)

    def stat(self, path: str) -> PathState:
        """The present state of `path` without the hash of its content: `sha256` is ""."""
        try:
            with self._folder_of(path) as (folder, name):
                status = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno in _NO_PATH:
                return ABSENT
            raise
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        mode = self._unlocked.get(path, stat.S_IMODE(status.st_mode)) if _MODES else None
        if stat.S_ISLNK(status.st_mode):
            return PathState("symlink", stamp=stamp)
        if stat.S_ISREG(status.st_mode):
            return PathState("file", mode, "", status.st_size, status.st_uid, status.st_gid, stamp)
        if stat.S_ISDIR(status.st_mode):
            return PathState("dir", mode, "", 0, status.st_uid, status.st_gid)
        return PathState("special", mode)

    def open(self, path: str) -> io.BufferedReader:
        """Open the regular file `path` for reading."""
        with self._folder_of(path) as (folder, name):
            try:
                fd = os.open(folder.at(name), READ, dir_fd=folder.fd)
            except PermissionError:
                if folder.fd is None or not self._unlock(folder.fd, name, path, stat.S_IRUSR):
                    raise
                fd = os.open(name, READ, dir_fd=folder.fd)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
        except OSError:
            os.close(fd)
            raise
        return os.fdopen(fd, "rb")

    def content(self, path: str, state: PathState) -> BinaryIO:
        """Open the content of `path` for reading: a file's bytes, or a link's target."""
        if state.kind == "symlink":
            return io.BytesIO(os.fsencode(self._link(path) or ""))
        return self.open(path)

    def children(self, path: str) -> list[str]:
        """The paths directly in the folder `path`, sorted."""
        if self._fd is None:
            with self._folder_of(path) as (folder, name):
                names = [entry.name for entry in Path(folder.at(name)).iterdir()]
        else:
            fd = self._descend(path.split("/"))
            try:
                names = os.listdir(fd)  # noqa: PTH208 - of an open folder
            finally:
                os.close(fd)
        return [f"{path}/{name}" for name in sorted(names)]

    def writable(self, path: str) -> bool:
        """Whether the mode and the owner of the file `path` allow localagent to write it."""
        with self._folder_of(path) as (folder, name):
            status = os.stat(folder.at(name), dir_fd=folder.fd, follow_symlinks=False)
            # The root user may write every file, but a file without any write bit is read-only.
            return bool(status.st_mode & 0o222) and os.access(
                folder.at(name), os.W_OK, dir_fd=folder.fd
            )

    # Writing

    def stage(
        self, path: str, temp: str, content: BinaryIO, after: PathState, *, sync: bool
    ) -> None:
        """Write `content` to the file `temp` next to `path`, with the mode and owner of `after`.

        With `sync`, wait until the content is on disk.
        """
        with self._folder_of(path) as (folder, name):
            fd = os.open(folder.at(temp), _CREATE, 0o600, dir_fd=folder.fd)
            with os.fdopen(fd, "wb") as file:
                while chunk := content.read(_CHUNK):
                    file.write(chunk)
                file.flush()
                copy_attributes(file.fileno(), folder.at(name), folder.fd, after)
                if sync:
                    os.fsync(file.fileno())

    def stage_link(self, path: str, temp: str, target: bytes) -> None:
        """Make a link named `temp` next to `path`."""
        with self._folder_of(path) as (folder, _):
            os.symlink(os.fsdecode(target), folder.at(temp), dir_fd=folder.fd)

    def rename(self, path: str, temp: str) -> None:
        """Rename the temporary file `temp` to `path`; this replaces `path` in one step."""
        with self._folder_of(path) as (folder, name):
            os.replace(folder.at(temp), folder.at(name), src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
        self._unlocked.pop(path, None)

    def discard(self, path: str, temp: str) -> bool:
        """Delete the file `temp` next to `path`. Returns False if it does not exist."""
        try:
            with self._folder_of(path) as (folder, _):
                os.unlink(folder.at(temp), dir_fd=folder.fd)
        except OSError as error:
            if error.errno in _NO_PATH:
                return False
            raise
        return True

    def unlink(self, path: str) -> None:
        """Delete the file or link `path`."""
        with self._folder_of(path) as (folder, name):
            os.unlink(folder.at(name), dir_fd=folder.fd)
        self._unlocked.pop(path, None)

    def rmdir(self, path: str) -> None:
        """Delete the empty folder `path`."""
        with self._folder_of(path) as (folder, name):
            os.rmdir(folder.at(name), dir_fd=folder.fd)
        self._unlocked.pop(path, None)

    def mkdir(self, path: str, mode: int) -> None:
        """Make the folder `path`."""
        with self._folder_of(path) as (folder, name):
            os.mkdir(folder.at(name), mode, dir_fd=folder.fd)

    def set_folder(self, path: str, after: PathState) -> None:
        """Set the mode of the folder `path` to that of `after`; as root, also the owner."""
        if not DIR_FDS or after.mode is None:
            return
        fd = self._descend(path.split("/"))
        try:
            status = os.fstat(fd)
            if after.uid is not None and after.gid is not None:
                chown(fd, status, after.uid, after.gid)
            if stat.S_IMODE(status.st_mode) != after.mode:
                os.fchmod(fd, after.mode)
            self._unlocked.pop(path, None)
        finally:
            os.close(fd)

    def sync(self, path: str) -> None:
        """Wait until the file names in the folder of `path` are on disk."""
        try:
            with self._folder_of(path) as (folder, _):
                if folder.fd is not None:
                    os.fsync(folder.fd)
        except OSError as error:
            # ENOENT, ENOTDIR: the folder itself was deleted; the caller also syncs its parent.
            # EINVAL: the file system cannot sync folders, as some network file systems.
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                raise

    @contextmanager
    def _folder_of(self, path: str) -> Iterator[tuple[_Folder, str]]:
        """Open the folder that contains `path`; yields the folder and the last part of `path`."""
        *parents, name = path.split("/")
        if self._fd is None:
            yield _Folder(None, self._checked_folder(parents)), name
            return
        fd = self._descend(parents)
        try:
            yield _Folder(fd, ""), name
        finally:
            os.close(fd)

    def _checked_folder(self, parents: list[str]) -> str:
        """The path of the folder `parents`, for systems without dir_fd.

        Raises NotADirectoryError if one of the folders is a link.
        """
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
