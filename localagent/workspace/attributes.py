"""Owner, mode and extended attributes of a file that takes another's place."""

from __future__ import annotations

import os

from localagent.workspace.path_state import State


def adopt(fd: int, old: str, dir_fd: int | None, after: State) -> None:
    """Give the open file `fd` the extended attributes that the file `old` (relative to the folder
    `dir_fd`) has, and the owner and mode of `after`.

    The mode comes last: a change of owner or of an access list changes it, too.
    """
    if after.uid is not None and after.gid is not None and hasattr(os, "fchown"):
        own(fd, os.fstat(fd), after.uid, after.gid)
    _copy_xattrs(fd, old, dir_fd)
    if after.mode is not None and hasattr(os, "fchmod"):
        os.fchmod(fd, after.mode)


def own(fd: int, found: os.stat_result, uid: int, gid: int) -> None:
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
