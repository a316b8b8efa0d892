"""Modes, owners and extended attributes of files, set by descriptors and never through a link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localagent.workspace.safe_files import PathState

# Attributes of the old content: the kernel also drops a program's capabilities when it is written.
_OF_CONTENT = ("security.capability", "security.ima", "security.evm")
_SAFE = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK"))


def set_mode(folder: int, name: str, mode: int) -> None:
    """Set the mode of an entry of the open folder, without following a link."""
    fd = os.open(name, getattr(os, "O_PATH", os.O_RDONLY) | _SAFE, dir_fd=folder)
    try:
        if hasattr(os, "O_PATH"):
            os.chmod(f"/proc/self/fd/{fd}", mode)  # noqa: PTH101
        else:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)


def copy_attributes(fd: int, old: str, dir_fd: int | None, after: PathState) -> None:
    """Copy attributes to the open file `fd`: extended ones from `old`, owner and mode from `after`.

    `old` is a file's name in the folder `dir_fd`. The mode is set last, because a change of the
    owner or the access list may change the mode.
    """
    if after.uid is not None and after.gid is not None and hasattr(os, "fchown"):
        chown(fd, os.fstat(fd), after.uid, after.gid)
    _copy_xattrs(fd, old, dir_fd)
    if after.mode is not None and hasattr(os, "fchmod"):
        os.fchmod(fd, after.mode)


def chown(fd: int, status: os.stat_result, uid: int, gid: int) -> None:
    """Change the owner and the group of the open file `fd`, if the system allows it.

    Only root can change the owner; other users can choose one of their own groups.
    """
    if (status.st_uid, status.st_gid) == (uid, gid):
        return
    try:
        os.fchown(fd, uid if os.geteuid() == 0 else -1, gid)
    except PermissionError:
        pass


def _copy_xattrs(fd: int, old: str, dir_fd: int | None) -> None:
    """Copy the extended attributes (access lists, labels) of `old`, if the system allows it."""
    if not hasattr(os, "listxattr"):
        return
    try:
        source = os.open(old, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=dir_fd)
    except OSError:
        return  # a new file, or one that was a link
    try:
        for key in os.listxattr(source):
            if key in _OF_CONTENT:
                continue
            try:
                os.setxattr(fd, key, os.getxattr(source, key))
            except OSError:
                continue  # reserved to the system, or not supported here
    except OSError:
        pass
    finally:
        os.close(source)
