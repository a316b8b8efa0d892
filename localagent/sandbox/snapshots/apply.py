# ruff: noqa: PTH101, PTH103, PTH108, PTH112, PTH116, PTH120, PTH123, PTH211, PTH102
# (the launcher starts quickly, and pathlib is slow to import)
"""Apply one change to a snapshot.

The module needs only the standard library, since the launcher uses it inside the namespaces. Copies
use the module on every system.
"""

from __future__ import annotations

import os
import stat

from localagent.core.trees import remove_tree

_ALL = os.R_OK | os.W_OK | os.X_OK


def apply_change(target: str, kind: str, data: bytes, mode: int | None) -> None:
    """Apply one change (see core/changes.py) to the absolute path `target`.

    The path leads through no links, except for links that earlier changes made. The command may
    have left files and folders that their owner cannot write.
    """
    parent = os.path.dirname(target)
    with _unlocked(parent):
        if kind == "absent" and (os.path.realpath(parent) != parent or not os.path.isdir(parent)):
            return  # a link or a file replaced the folder and all its entries
        _replace(target, kind, data, mode)


def _replace(target: str, kind: str, data: bytes, mode: int | None) -> None:
    try:
        before: os.stat_result | None = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        before = None
    if before is not None and not _keeps_entry(before, kind):
        if stat.S_ISDIR(before.st_mode):
            remove_tree(target)
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
        _write_file(target, data, _mode(mode, before, 0o644), before)


def _keeps_entry(before: os.stat_result, kind: str) -> bool:
    return (kind == "file" and stat.S_ISREG(before.st_mode)) or (
        kind == "dir" and stat.S_ISDIR(before.st_mode)
    )


def _mode(mode: int | None, before: os.stat_result | None, otherwise: int) -> int:
    if mode is not None:
        return mode
    return stat.S_IMODE(before.st_mode) if before is not None else otherwise


def _write_file(target: str, data: bytes, mode: int, before: os.stat_result | None) -> None:
    if before is not None and not os.access(target, os.W_OK):
        os.unlink(target)  # this needs rights to the folder alone
    with open(target, "wb") as file:
        file.write(data)
    os.chmod(target, mode)
    after = os.stat(target)
    # Python and make trust a compiled file if its source has the same size and modification time in
    # seconds. So two versions of a source file must differ in size or time.
    same_size = before is not None and before.st_size == after.st_size
    if before is not None and same_size and int(after.st_mtime) <= int(before.st_mtime):
        os.utime(target, (after.st_atime, int(before.st_mtime) + 1))


class _unlocked:
    """Give the owner access to `folder` and its parents inside the `with` block."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._modes: list[tuple[str, int]] = []

    def __enter__(self) -> None:
        locked, folder, needed = [], self._folder, _ALL
        while folder != os.path.dirname(folder) and not os.access(folder, needed):
            locked.append(folder)
            needed = os.X_OK if os.path.lexists(folder) else _ALL  # to create a missing folder
            folder = os.path.dirname(folder)
        for path in reversed(locked):
            try:
                found = os.lstat(path)
            except OSError:
                return  # the folder does not exist yet
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                mode = stat.S_IMODE(found.st_mode)
                os.chmod(path, mode | stat.S_IRWXU)
                self._modes.append((path, mode))

    def __exit__(self, *exc: object) -> None:
        for path, mode in reversed(self._modes):
            try:
                os.chmod(path, mode)
            except FileNotFoundError:
                continue  # the folder was removed
