# ruff: noqa: PTH101, PTH103, PTH106, PTH108, PTH116, PTH120, PTH123, PTH211, PTH102
# (a quick start counts in the launcher, and pathlib is slow to import)
"""Carrying out one change in a view.

Used by the launcher, inside the namespace, and by the plain sandbox, on every system; standard
library alone.
"""

from __future__ import annotations

import os
import stat


def put(target: str, kind: str, data: bytes, mode: int | None) -> None:
    """Carry out one change (see localagent.changes) at the absolute path `target`."""
    try:
        before: os.stat_result | None = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        before = None
    if before is not None and not _stays(before, kind):
        if stat.S_ISDIR(before.st_mode):
            _remove_tree(target)
        else:
            os.unlink(target)
        before = None
    if kind == "absent":
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if kind == "symlink":
        os.symlink(os.fsdecode(data), target)
    elif kind == "dir":
        if before is None:
            os.mkdir(target)
        os.chmod(target, _mode(mode, before, 0o755))
    else:
        _put_file(target, data, _mode(mode, before, 0o644), before)


def _remove_tree(folder: str) -> None:  # shutil takes longer to import than all else takes
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
            else:
                os.unlink(entry.path)
    os.rmdir(folder)


def _stays(before: os.stat_result, kind: str) -> bool:
    return (kind == "file" and stat.S_ISREG(before.st_mode)) or (
        kind == "dir" and stat.S_ISDIR(before.st_mode)
    )


def _mode(mode: int | None, before: os.stat_result | None, otherwise: int) -> int:
    if mode is not None:
        return mode
    return stat.S_IMODE(before.st_mode) if before is not None else otherwise


def _put_file(target: str, data: bytes, mode: int, before: os.stat_result | None) -> None:
    with open(target, "wb") as file:
        file.write(data)
    os.chmod(target, mode)
    after = os.stat(target)
    # Python (and make) take a compiled file for current when size and second of the source are
    # those that they noted, so no two versions may agree in both.
    same_size = before is not None and before.st_size == after.st_size
    if before is not None and same_size and int(after.st_mtime) <= int(before.st_mtime):
        os.utime(target, (after.st_atime, int(before.st_mtime) + 1))
