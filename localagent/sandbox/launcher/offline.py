"""Run a command without a network, for the kind "seccomp": one filter, and a broker for root.

Without namespaces, the kernel does not limit the processes of root. So the kernel suspends each
call that makes a process, and the launcher counts (syscall_broker.py). If the launcher ends, the
kernel refuses these calls.

Linux 5.5 is the first that lets a broker continue a call. Before, the launcher only polls, and a
storm of root's processes outruns it.
"""

from __future__ import annotations

import os

from localagent.egress.descriptors import DescriptorPair
from localagent.linux import procfs, seccomp, syscalls
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

_FIRST_KERNEL_THAT_CONTINUES = (5, 5)


def serve(job: Job, status: int) -> None:
    """Run a job under the filter on system calls."""
    confinement = _Confinement(job)
    syscalls.adopt_orphans()
    child = os.fork()
    if child == 0:
        become(job, status, confinement.enter)
    counter = procfs.NoRouteCounter("/proc/self/net") if job["isolated_network"] else None
    broker = confinement.broker()
    watch = LimitWatch(child, job, job["processes"])
    result = await_end(child, status, watch, reap=True, broker=broker)
    if broker is not None:
        os.close(broker.listener)  # from now on the kernel refuses new processes
    end_descendants(child)
    if counter is not None:
        say(status, f"N {counter.count()}")
    if result is not None:
        say(status, f"X {result}")


class _Confinement:
    """The filter of one command, and the sockets by which the launcher gets its descriptor."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._is_root = os.geteuid() == 0
        limit_user_processes(job)
        self._filter = seccomp.offline_program()
        if self._filter is None:
            raise OSError(f"no filter on system calls exists for {os.uname().machine}")
        # The egress lock can forbid pidfd_getfd(2), so the descriptor goes through a socket.
        self._pair = DescriptorPair()

    def enter(self) -> None:
        """Give up rights, in the child; leave new processes of root to the broker."""
        syscalls.keep_capabilities(syscalls.FILE_CAPABILITIES if self._is_root else ())
        can_continue = syscalls.kernel_is_at_least(_FIRST_KERNEL_THAT_CONTINUES)
        if self._is_root and self._job["processes"] and can_continue:
            try:
                asking = seccomp.offline_program(asks_forks=True)
                listener = syscalls.seccomp_install(asking or b"", listen=True)
            except OSError:
                pass  # a container's runtime has such a broker, and the kernel allows only one
            else:
                self._pair.send(listener)
                return
        seccomp.install(self._filter)

    def broker(self) -> Broker | None:
        """Return the broker, in the launcher; None if the command has none."""
        listener = self._pair.receive()
        return None if listener is None else Broker(listener, [], [], self._job["processes"])
