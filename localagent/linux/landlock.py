"""Rules of Landlock: the files that a process may read and change.

The launcher and the model's process use this module, so it needs only the standard library. The
constants of rights are those of linux/landlock.h.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from localagent.linux import syscalls as sys_

VERSION_WITH_REFER, _VERSION_WITH_TRUNCATE, _VERSION_WITH_NETWORK = 2, 3, 4
_VERSION_WITH_IOCTL, _VERSION_WITH_SCOPES = 5, 6

_EXECUTE, WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
REFER = 1 << 13  # move and link files between folders
_ALL = (1 << 16) - 1
_FILE_RIGHTS = _EXECUTE | WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS = {
    "read": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _ALL & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    "device": _READ_FILE | WRITE_FILE | _TRUNCATE | _IOCTL_DEV,
}

Rule = tuple[str, str]  # "read", "write" or "device", and a path


def prepare(rules: Iterable[Rule]) -> int:
    """Return the rules as a descriptor for `syscalls.landlock_restrict`; skip missing paths.

    Raises OSError, whose text names the missing feature, if this kernel has no Landlock.
    """
    version = sys_.landlock_version()
    known = rights_of(version)
    ruleset = sys_.landlock_ruleset(
        known,
        sys_.LANDLOCK_NET_ALL if version >= _VERSION_WITH_NETWORK else 0,
        sys_.LANDLOCK_SCOPE_ALL if version >= _VERSION_WITH_SCOPES else 0,
    )
    for kind, path in rules:
        allow(ruleset, path, _RIGHTS[kind] & known)
    return ruleset


def scope_signals() -> bool:
    """Let this process signal only its descendants; return False if the kernel cannot do that.

    Raises OSError.
    """
    if sys_.landlock_version() < _VERSION_WITH_SCOPES:
        return False
    ruleset = sys_.landlock_ruleset(0, 0, sys_.LANDLOCK_SCOPE_SIGNAL)
    try:
        sys_.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
    return True


def allow(ruleset: int, path: str, rights: int) -> None:
    """Add a rule for a path; without effect if the path is missing. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        sys_.landlock_allow(ruleset, descriptor, rights if is_folder else rights & _FILE_RIGHTS)
    finally:
        os.close(descriptor)


def rights_of(version: int) -> int:
    """Return the rights on files that a version of Landlock knows."""
    rights = _ALL
    for first, right in (
        (VERSION_WITH_REFER, REFER),
        (_VERSION_WITH_TRUNCATE, _TRUNCATE),
        (_VERSION_WITH_IOCTL, _IOCTL_DEV),
    ):
        if version < first:
            rights &= ~right
    return rights
