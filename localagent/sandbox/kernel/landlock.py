"""Landlock: what a command may reach, without namespaces or root.

Runs in the launcher (see there), so it uses the standard library alone. Rights are those of
linux/landlock.h; version 6 of the interface (Linux 6.12) is the first that keeps signals and
abstract sockets inside. What Landlock has no say in is left to seccomp.py and broker.py.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable
from typing import Any

from localagent.linux import seccomp
from localagent.linux import syscalls as sys_
from localagent.sandbox.kernel.syscall_broker import Broker
from localagent.sandbox.launcher.limits import count_tasks

NEEDED_VERSION = 6

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_ALL = (1 << 16) - 1
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS = {
    "read": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _ALL & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    "device": _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV,
}

_FILE_CAPABILITIES = (0, 1, 3, 4)  # see namespace.py

Rule = tuple[str, str]  # "read", "write" or "device", and a path


def prepare(rules: Iterable[Rule]) -> int:
    """The rules as a descriptor for `syscalls.landlock_restrict`; paths that are gone are left out.

    Raises OSError, with what is missing, where this kernel cannot hold to them.
    """
    version = sys_.landlock_version()
    if version < NEEDED_VERSION:
        raise OSError(f"Landlock {NEEDED_VERSION} (Linux 6.12) is needed, and here is {version}")
    ruleset = sys_.landlock_ruleset(_ALL, sys_.LANDLOCK_NET_ALL, sys_.LANDLOCK_SCOPE_ALL)
    for kind, path in rules:
        try:
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            folder = stat.S_ISDIR(os.fstat(found).st_mode)
            rights = _RIGHTS[kind] if folder else _RIGHTS[kind] & _OF_A_FILE
            sys_.landlock_allow(ruleset, found, rights)
        finally:
            os.close(found)
    return ruleset


class Held:
    """What holds one command: the rules, and the way by which the broker gets its descriptor.

    Keys of the job: rules, roots, ports, processes.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._filter = seccomp.program(shared=True)
        if self._filter is None:
            raise OSError(f"there is no filter on system calls for {os.uname().machine}")
        self._rules = prepare(job["rules"])
        self._asked, self._ask = os.pipe()
        self._answered, self._answer = os.pipe()

    def confine(self) -> None:
        """In the child: give up what it may not do; returns when the broker is there."""
        sys_.die_with_parent(signal.SIGKILL)
        sys_.keep_capabilities(_FILE_CAPABILITIES if os.geteuid() == 0 else ())
        sys_.landlock_restrict(self._rules)
        listener = sys_.seccomp_install(self._filter or b"", listen=True)
        os.write(self._ask, b"%d" % listener)
        os.read(self._answered, 1)

    def broker(self, child: int) -> Broker | None:
        """In the launcher: the broker of `child`; None where the child ended before."""
        os.close(self._ask)
        os.close(self._answered)
        os.close(self._rules)
        said = os.read(self._asked, 16)
        if not said:
            return None
        process = os.pidfd_open(child)
        listener = sys_.take_descriptor(process, int(said))
        os.close(process)
        os.write(self._answer, b"1")
        os.close(self._answer)
        job = self._job
        count = lambda: count_tasks(os.getpid())  # noqa: E731
        return Broker(listener, job["roots"], job["ports"], job["processes"], count)
