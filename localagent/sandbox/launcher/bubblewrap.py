"""Run a command through `bwrap`, from the launcher, with the standard library alone.

bwrap reports on a pipe the first process in the new namespaces and the command's exit code. If
bwrap reports nothing, it could not start the command, and its output says why. The job's arguments
hold placeholders for descriptors: STATUS for this pipe, FILTER for the filter on system calls,
RELAY for the port relay.
"""

from __future__ import annotations

import os
import select
import signal

from localagent.linux import syscalls
from localagent.linux.procfs import NoRouteCounter
from localagent.sandbox.launcher.socket_broker import BrokerPipes
from localagent.sandbox.launcher.supervisor import (
    LimitWatch,
    await_end,
    become,
    end_descendants,
    say,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localagent.sandbox.launcher.supervisor import Job

_SETUP_FAILED = 1 << 8  # the wait status of bwrap if it failed before the command
_END_MS = 10_000  # milliseconds until the kernel has ended all processes in the namespaces


def serve(job: Job, status: int, filter_code: bytes) -> None:
    """Run `job` under a filter on system calls."""
    reports, writer = os.pipe()
    filter_reader, filter_writer = os.pipe()
    os.write(filter_writer, filter_code)
    os.close(filter_writer)
    descriptors = {"STATUS": writer, "FILTER": filter_reader}
    if job["ports"]:
        from localagent.egress.splice import PortRelay

        relay = PortRelay(job["ports"])
        descriptors["RELAY"] = relay.inside.fileno()
    for descriptor in descriptors.values():
        os.set_inheritable(descriptor, True)
    *words, line = job["argv"]  # the command itself may be one of the placeholders
    job["argv"] = [*(str(descriptors.get(word, word)) for word in words), line]
    pipes = BrokerPipes(job["private_mounts"])
    syscalls.adopt_orphans()  # if bwrap is killed, its first process may outlive it
    child = os.fork()
    if child == 0:
        become(job, -1, pipes.enter)
    broker = pipes.broker(os.getpid(), child)
    os.close(writer)
    report, first = _await_first(reports)
    watch = LimitWatch(child, job, job["processes"])
    result = await_end(child, status, watch, broker=broker)
    if result is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if first is not None:
        first.end()
    end_descendants(child)
    if first is not None:
        say(status, f"N {first.counter.count()}")
    if broker is not None and broker.refused:
        say(status, f"S {broker.refused} of other programs")
    exit_code = _number(report + _rest(reports), b"exit-code")
    if exit_code is not None or (first is not None and result != _SETUP_FAILED):
        say(status, "R")
    if exit_code is not None:
        # Like a shell, bwrap reports a signal as its number plus 128.
        say(status, f"X {exit_code - 128 if exit_code > 128 else exit_code << 8}")


class _FirstProcess:
    """The first process in the namespaces: when it ends, all others end."""

    def __init__(self, pid: int) -> None:
        self._process = os.pidfd_open(pid)
        self.counter = NoRouteCounter(f"/proc/{pid}/net")

    def end(self) -> None:
        """End the process and wait for its end: bwrap itself does not wait."""
        try:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        except OSError:
            pass  # it has ended, or --die-with-parent will end it
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        poll.poll(_END_MS)


def _await_first(reports: int) -> tuple[bytes, _FirstProcess | None]:
    """Return bwrap's first report, and the process that the report names.

    The process is None if bwrap started none, or if localagent hung up.
    """
    poll = select.poll()
    poll.register(0, 0)  # no events: poll reports only a hang-up
    poll.register(reports, select.POLLIN)
    report = b""
    while (pid := _number(report, b"child-pid")) is None:
        events = dict(poll.poll())
        part = os.read(reports, 4096) if reports in events else b""
        if not part:
            return report, None
        report += part
    try:
        return report, _FirstProcess(pid)
    except OSError:
        return report, None  # the process has ended already


def _number(report: bytes, key: bytes) -> int | None:
    """Read a number from bwrap's report, whose lines look like `{ "child-pid": 12 }`."""
    _, _, rest = report.partition(b'"%s":' % key)
    digits, end, _ = rest.replace(b",", b"}").partition(b"}")
    return int(digits) if end and digits.strip().isdigit() else None


def _rest(reports: int) -> bytes:
    os.set_blocking(reports, False)
    try:
        return os.read(reports, 4096)
    except BlockingIOError:
        return b""
