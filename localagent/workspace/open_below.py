"""Open files below one folder without following links.

A path is relative to the folder, with `/` between its parts. Each part is opened relative to the
folder before it and with O_NOFOLLOW. Windows has no such calls; there, links are followed.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

DIR_FDS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
# With O_NONBLOCK, opening a named pipe does not wait for a writer.
READ = os.O_RDONLY | SAFE | getattr(os, "O_NONBLOCK", 0)
FOLDER = READ | getattr(os, "O_DIRECTORY", 0)
MAX_LINKS = 40  # links on one path; the Linux kernel has the same limit


def open_below(root: Path, name: str) -> int:
    """Open `name`, a path below `root`, for reading, and return its descriptor.

    Raises OSError if a part of the path is a link.
    """
    return _open(root, name, READ)


def read_below(root: Path, name: str, limit: int) -> bytes:
    """Return the first `limit` bytes of the regular file `name` below `root`.

    Raises OSError, also if the file is a device or a pipe, or if a part of the path is a link.
    """
    with os.fdopen(open_below(root, name), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        return file.read(limit)


def write_below(root: Path, name: str, *, append: bool = False, make_folders: bool = False) -> int:
    """Open the regular file `name` below `root` for writing, and return its descriptor.

    The file is made, or emptied without `append`; `make_folders` also makes its folders.
    Raises OSError if a part of the path is a link.
    """
    how = os.O_WRONLY | os.O_CREAT | SAFE | getattr(os, "O_NONBLOCK", 0)
    descriptor = _open(root, name, how, make_folders=make_folders)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", name)
        if append:
            os.lseek(descriptor, 0, os.SEEK_END)
        else:
            os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def below_checkout(path: Path, directory: Path) -> tuple[Path, str] | None:
    """The checkout that holds `directory`, and `path` relative to it; None for a path elsewhere."""
    root = directory.resolve()
    root = next((p for p in (root, *root.parents) if (p / ".git").exists()), root)
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links
    for folder in reversed(absolute.parents):
        if folder.exists() and folder.samefile(root):
            return root, absolute.relative_to(folder).as_posix()
    return None


def _open(root: Path, name: str, flags: int, *, make_folders: bool = False) -> int:
    """Open `name` below `root` without following links in its folders; `flags` are for `name`."""
    if not DIR_FDS:
        if make_folders:
            Path(root, name).parent.mkdir(parents=True, exist_ok=True)
        return os.open(f"{root}/{name}", flags, 0o666)
    *folders, last = name.split("/")
    folder = descend(os.open(root, FOLDER), folders, make=make_folders)
    try:
        return os.open(last, flags, 0o666, dir_fd=folder)
    finally:
        os.close(folder)


def descend(fd: int, parts: list[str], *, make: bool = False) -> int:
    """Open the folder at the path `parts` below the open folder `fd`, and close `fd`.

    With `make`, missing folders are made.
    """
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=fd)
            below = os.open(part, FOLDER, dir_fd=fd)
            os.close(fd)
            fd = below
    except OSError:
        os.close(fd)
        raise
    return fd
