"""Confine a command by Landlock, without namespaces or root.

This module runs in the launcher and needs only the standard library. The constants of rights are
those of linux/landlock.h. Version 6 of Landlock (Linux 6.12) is the first that confines signals and
abstract sockets. seccomp.py and syscall_broker.py cover what the kernel's version does not check.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterable

from localagent.linux import procfs, seccomp
from localagent.linux import syscalls as sys_
from localagent.sandbox.launcher.supervisor import (
    LimitWatch,
    await_end,
    become,
    end_descendants,
    say,
)
from localagent.sandbox.launcher.syscall_broker import Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localagent.sandbox.launcher.supervisor import Job

_VERSION_WITH_REFER, _VERSION_WITH_TRUNCATE, _VERSION_WITH_NETWORK = 2, 3, 4
_VERSION_WITH_IOCTL, _VERSION_WITH_SCOPES = 5, 6

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_REFER = 1 << 13  # move and link files between folders
_ALL = (1 << 16) - 1
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_RIGHTS = {
    "read": _EXECUTE | _READ_FILE | _READ_DIR,
    "write": _ALL & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV),
    "device": _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV,
}

Rule = tuple[str, str]  # "read", "write" or "device", and a path


def serve(job: Job, status: int) -> None:
    """Run a job; its extra keys are `rules` and `roots` (folders that the command may change)."""
    sys_.adopt_orphans()
    confinement = _Confinement(job)
    child = os.fork()
    if child == 0:
        become(job, status, confinement.enter)
    broker = confinement.broker(child)
    result = await_end(child, status, LimitWatch(child, job), reap=True, broker=broker)
    if broker is not None:
        os.close(broker.listener)  # from now on the kernel refuses new processes
    end_descendants(child)
    if broker is not None:
        say(status, f"N {broker.refused_connections}")
        say(status, f"S {broker.refused_sockets}")
    if result is not None:
        say(status, f"X {result}")


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
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rights = _RIGHTS[kind] if is_folder else _RIGHTS[kind] & _FILE_RIGHTS
            sys_.landlock_allow(ruleset, descriptor, rights & known)
        finally:
            os.close(descriptor)
    return ruleset


def rights_of(version: int) -> int:
    """Return the rights on files that a version of Landlock knows."""
    rights = _ALL
    for first, right in (
        (_VERSION_WITH_REFER, _REFER),
        (_VERSION_WITH_TRUNCATE, _TRUNCATE),
        (_VERSION_WITH_IOCTL, _IOCTL_DEV),
    ):
        if version < first:
            rights &= ~right
    return rights


class _Confinement:
    """The rules of one command, and the pipes that pass its broker's descriptor to the launcher."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._filter = seccomp.program(shared=True, landlock=sys_.landlock_version())
        if self._filter is None:
            raise OSError(f"no filter on system calls exists for {os.uname().machine}")
        self._rules = prepare(job["rules"])
        self._request, self._request_writer = os.pipe()
        self._answer, self._answer_writer = os.pipe()

    def enter(self) -> None:
        """Give up rights, in the child; return when the broker is ready."""
        sys_.die_with_parent(signal.SIGKILL)
        sys_.keep_capabilities(sys_.FILE_CAPABILITIES if os.geteuid() == 0 else ())
        sys_.landlock_restrict(self._rules)
        listener = sys_.seccomp_install(self._filter or b"", listen=True)
        os.write(self._request_writer, b"%d" % listener)
        os.read(self._answer, 1)

    def broker(self, child: int) -> Broker | None:
        """Return the broker of `child`, in the launcher; None if the child ended before."""
        os.close(self._request_writer)
        os.close(self._answer)
        os.close(self._rules)
        number = os.read(self._request, 16)
        if not number:
            return None
        process = os.pidfd_open(child)
        listener = sys_.take_descriptor(process, int(number))
        os.close(process)
        os.write(self._answer_writer, b"1")
        os.close(self._answer_writer)
        job = self._job
        count = lambda: procfs.count_tasks(os.getpid())  # noqa: E731
        return Broker(listener, job["roots"], job["ports"], job["processes"], count)
