"""Confine a command by Landlock, without namespaces or root.

This module runs in the launcher and needs only the standard library. Version 6 of Landlock (Linux
6.12) is the first that confines signals and abstract sockets. seccomp.py and syscall_broker.py
cover what the kernel's version does not check.
"""

from __future__ import annotations

import os
import signal

from localagent.linux import seccomp
from localagent.linux import syscalls as sys_
from localagent.linux.landlock import prepare, scope_signals
from localagent.sandbox.launcher.supervisor import (
    LimitWatch,
    await_end,
    become,
    end_descendants,
    limit_user_processes,
    say,
)
from localagent.sandbox.launcher.syscall_broker import Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localagent.sandbox.launcher.supervisor import Job


def serve(job: Job, status: int) -> None:
    """Run a job; its extra keys are `rules` and `roots` (folders that the command may change)."""
    sys_.adopt_orphans()
    scoped = scope_signals()
    confinement = _Confinement(job)
    child = os.fork()
    if child == 0:
        become(job, status, confinement.enter)
    broker = confinement.broker(child)
    result = await_end(child, status, LimitWatch(child, job), reap=True, broker=broker)
    if broker is not None:
        os.close(broker.listener)  # from now on the kernel refuses new processes
    end_descendants(child, scoped=scoped)
    if broker is not None:
        say(status, f"N {broker.refused_connections}")
        say(status, f"S {broker.refused_sockets}")
    if result is not None:
        say(status, f"X {result}")


class _Confinement:
    """The rules of one command, and the pipes that pass its broker's descriptor to the launcher."""

    def __init__(self, job: Job) -> None:
        self._job = job
        limit_user_processes(job)
        version, is_root = sys_.landlock_version(), os.geteuid() == 0
        self._filter = seccomp.program(shared=True, landlock=version, asks_forks=is_root)
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
        return Broker(listener, job["roots"], job["ports"], job["processes"])
