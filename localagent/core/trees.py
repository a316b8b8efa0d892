# ruff: noqa: PTH101, PTH106
# (the launcher starts quickly, and pathlib is slow to import)
"""Remove a folder with everything in it, whatever its depth, its names and its permissions.

Commands choose what such a folder holds. So the removal follows no link, needs no path longer than
one name, and neither recurses nor keeps a descriptor for each level. The launcher uses this module,
so it needs only the standard library.
"""

from __future__ import annotations

import os
import stat

_DIR_FDS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_FOLDER = os.O_RDONLY | sum(getattr(os, f"O_{n}", 0) for n in ("DIRECTORY", "NOFOLLOW", "CLOEXEC"))


def remove_tree(folder: str | os.PathLike[str]) -> bool:
    """Remove `folder`; return False if a part of it stays.

    A part stays if it belongs to another user or is a mount point.
    """
    if not _DIR_FDS:
        import shutil

        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.lexists(folder)
    try:
        os.chmod(folder, 0o700)
        top = os.open(folder, _FOLDER)
    except OSError:
        return not os.path.lexists(folder)
    try:
        _empty(top)
    finally:
        os.close(top)
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _empty(top: int) -> None:
    """Remove the entries of the open folder `top`, depth first; only one more folder is open."""
    here = os.dup(top)
    names: list[str] = []  # from `top` down to `here`
    waiting = [_remove_files(here)]  # the folders that are left in each folder on this path
    places = [_place(here)]
    try:
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                try:
                    os.chmod(name, 0o700, dir_fd=here)
                    below = os.open(name, _FOLDER, dir_fd=here)
                except OSError:
                    continue
                os.close(here)
                here = below
                names.append(name)
                waiting.append(_remove_files(here))
                places.append(_place(here))
            elif names:
                above = os.open("..", _FOLDER, dir_fd=here)
                os.close(here)
                here = above
                waiting.pop()
                places.pop()
                if _place(here) != places[-1]:
                    return  # another process moved the folder
                try:
                    os.rmdir(names.pop(), dir_fd=here)
                except OSError:
                    pass
            else:
                return
    finally:
        os.close(here)


def _place(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino


def _remove_files(folder: int) -> list[str]:
    """Remove all entries but folders, and return the names of the folders."""
    folders = []
    for name in os.listdir(folder):
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                folders.append(name)
            else:
                os.unlink(name, dir_fd=folder)
        except OSError:
            pass
    return folders
