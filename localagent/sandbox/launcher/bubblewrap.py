"""Running a command by way of `bwrap`. In the launcher (see there), standard library alone.

bwrap tells on a pipe which process is the first in the new namespaces, and how the command ended;
where it tells nothing, it could not start it, and its output says why. The pipe's number, that of
the filter on system calls and that of the relay take the places of words in its arguments.
"""

from __future__ import annotations

import os
import re
import select
import signal

from localagent.sandbox.launcher.limits import Refusals, Watch
from localagent.sandbox.launcher.run import Job, await_end, become, say

_FIRST = re.compile(rb'"child-pid":\s*(\d+)')
_ENDED = re.compile(rb'"exit-code":\s*(\d+)')
_NOT_SET_UP = 1 << 8  # the wait status of bwrap where it failed before the command
_END_MS = 10_000  # within which the kernel ends what was in the namespaces


def serve(job: Job, status: int, rules: bytes) -> None:
    """Run `job`, held to the filter `rules`."""
    told, tell = os.pipe()
    read_rules, rule = os.pipe()
    os.write(rule, rules)
    os.close(rule)
    passed = {"STATUS": tell, "FILTER": read_rules}
    if job["ports"]:
        from localagent.egress.splice import PortRelay

        relay = PortRelay(job["ports"])
        passed["RELAY"] = relay.inside.fileno()
    for descriptor in passed.values():
        os.set_inheritable(descriptor, True)
    *words, line = job["argv"]  # the command itself may be any word
    job["argv"] = [*(str(passed.get(word, word)) for word in words), line]
    child = os.fork()
    if child == 0:
        become(job, -1, None)
    os.close(tell)
    said, first = _first(told)
    watch = Watch(child, job["memory"], job["written"], job["disk"], job["processes"])
    result = await_end(child, status, watch)
    if result is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if first is not None:
        first.end()
        say(status, f"N {first.refusals.count()}")
    ended = _ENDED.search(said + _rest(told))
    if ended or (first is not None and result != _NOT_SET_UP):
        say(status, "R")
    if ended:
        code = int(ended[1])
        # As shells do, bwrap tells of a signal by adding 128 to its number.
        say(status, f"X {code - 128 if code > 128 else code << 8}")


class _First:
    """The first process in the namespaces: with it all others end."""

    def __init__(self, pid: int) -> None:
        self._process = os.pidfd_open(pid)
        self.refusals = Refusals(f"/proc/{pid}/net")

    def end(self) -> None:
        """Have it ended, and wait for that: bwrap itself does not wait for it."""
        try:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        except OSError:
            pass  # it has ended, or is another user's; bwrap ends it too (--die-with-parent)
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        poll.poll(_END_MS)


def _first(told: int) -> tuple[bytes, _First | None]:
    """What bwrap says first, and the process that it names; None where it started none, or
    localagent hung up."""
    poll = select.poll()
    poll.register(0, 0)  # no events asked for: only a hang-up is reported
    poll.register(told, select.POLLIN)
    said = b""
    while not (found := _FIRST.search(said)):
        events = dict(poll.poll())
        part = os.read(told, 4096) if told in events else b""
        if not part:
            return said, None
        said += part
    try:
        return said, _First(int(found[1]))
    except OSError:
        return said, None  # it has ended already


def _rest(told: int) -> bytes:
    os.set_blocking(told, False)
    try:
        return os.read(told, 4096)
    except BlockingIOError:
        return b""
