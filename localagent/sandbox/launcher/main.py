# ruff: noqa: PTH123, PTH208
# (a quick start counts here, and pathlib is slow to import)
"""The small program that stands between localagent and a command.

It runs as `python -I -S` with the standard library alone, may be started ahead of time, and then
waits on its standard input for a job: eight bytes of length (little endian) and a marshalled
dictionary (`Job`). Its standard output is the command's output. On the status descriptor it says
what happened, one line each: `R` the command begins, `X <wait status>` it ended, `E <text>` the
sandbox could not be set up, `D <wait status>` process 1 ended, `K <text>` the limit for which it
was ended, `N <count>` how often something in there reached for another machine, `S <kinds>` which
other sockets it was refused. It never outlives localagent: when its standard input is closed, it
and all that it started end.

The launcher stays outside of what confines the command, and watches it. In namespaces, `init` is
process 1 of the new pid namespace, so that its end is the end of every process in there; elsewhere
the launcher adopts orphans in order to end them.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import sys
import time
from typing import NoReturn

from localagent.linux import seccomp, syscalls
from localagent.sandbox.kernel import landlock, namespaces
from localagent.sandbox.launcher import bubblewrap
from localagent.sandbox.launcher.limits import Refusals, Watch
from localagent.sandbox.launcher.run import (
    TICK,
    Job,
    await_end,
    become,
    end_descendants,
    guarded,
    say,
)

# The keys of a job: kind ("plain", "namespace", "bubblewrap" or "landlock"), argv (None: the
# changes are put and nothing is run), env, cwd, limits (pairs of an RLIMIT_* name and a value),
# processes, memory, disk, written (folders), ports (of this machine that may be reached), counts
# (whether the launcher's own network has no way out), and what the kind itself reads.

_FILTER = seccomp.program(shared=False)  # made while nobody waits for it


def main() -> NoReturn:
    """Serve one job and end; the descriptor for the status is the first argument."""
    status = int(sys.argv[1])
    os.set_inheritable(status, False)
    job = _receive()
    if job is not None:
        _fall_first()
        try:
            _SERVE[job["kind"]](job, status)
        except OSError as error:
            say(status, f"E {error}")
    os._exit(0)  # at once: taking the interpreter down in order takes as long as all the rest


def _serve_alone(job: Job, status: int) -> None:
    """The kinds without a pid namespace: no confinement, and Landlock."""
    if sys.platform == "linux":
        syscalls.adopt_orphans()
    held = landlock.Held(job) if job["kind"] == "landlock" else None
    child = os.fork()
    if child == 0:
        become(job, status, held.confine if held else None)
    broker = held.broker(child) if held else None
    refusals = Refusals("/proc/self/net") if job["counts"] else None
    watch = Watch(
        child, job["memory"], job["written"], job["disk"], 0 if held else job["processes"]
    )
    result = await_end(child, status, watch, reap=True, broker=broker)
    if broker is not None:
        os.close(broker.listener)  # from now on nothing in there can make a process
    end_descendants(child)
    if broker is not None:
        say(status, f"N {broker.refused}")
        say(status, f"S {broker.sockets}")
    elif refusals is not None:
        say(status, f"N {refusals.count()}")
    if result is not None:
        say(status, f"X {result}")


def _serve_namespace(job: Job, status: int) -> None:
    init = _start_confined(job, status)
    refusals = Refusals("/proc/self/net")  # the launcher shares the command's network namespace
    watch = Watch(init, job["memory"], job["written"], job["disk"])
    result = await_end(init, status, watch)
    if result is None:
        os.kill(init, signal.SIGKILL)
        _, result = os.waitpid(init, 0)
    say(status, f"N {refusals.count()}")
    say(status, f"D {result}")


def _serve_bubblewrap(job: Job, status: int) -> None:
    bubblewrap.serve(job, status, _FILTER or b"")


def _receive() -> Job | None:
    length = int.from_bytes(_read_exactly(8), "little")
    data = _read_exactly(length)
    return marshal.loads(data) if length and len(data) == length else None


def _read_exactly(count: int) -> bytes:
    parts = []
    while count and (part := os.read(0, min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _fall_first() -> None:
    """When memory runs out, the kernel shall end the command, not the model or the desktop."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _start_confined(job: Job, status: int) -> int:
    relay = None
    if job["ports"]:
        from localagent.egress.splice import PortRelay

        relay = PortRelay(job["ports"])
    namespaces.enter()
    if relay is not None:
        syscalls.raise_loopback()
        relay.listen()
    alive, ours = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(ours)
        guarded(status, lambda: _init(job, status, alive))
    os.close(alive)
    return init


def _init(job: Job, status: int, alive: int) -> None:
    """Process 1: build the view, start the command, collect orphans, report the end."""
    syscalls.die_with_parent(signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # the launcher ended before the line above
        os._exit(1)
    counted = namespaces.limit_processes(int(job["processes"]))
    namespaces.build(job)
    namespaces.drop_privileges()
    syscalls.hide_from_ptrace()
    if job["argv"] is None:
        say(status, "X 0")
        os._exit(0)
    child = os.fork()
    if child == 0:
        guarded(status, lambda: become(job, status, lambda: seccomp.install(_FILTER)))
    result = _collect(child, 0 if counted else int(job["processes"]))
    say(status, f"X {result}")
    os._exit(0)  # ends every process that is left in the namespace


def _collect(child: int, limit: int) -> int:
    """Reap until `child` has ended. With a `limit`, count processes and end them all above it."""
    while True:
        pid, result = os.waitpid(-1, os.WNOHANG if limit else 0)
        if pid == child:
            return result
        if limit and not pid:
            if sum(name.isdigit() for name in os.listdir("/proc")) > limit:
                return int(signal.SIGKILL)
            time.sleep(TICK)


_SERVE = {
    "plain": _serve_alone,
    "landlock": _serve_alone,
    "namespace": _serve_namespace,
    "bubblewrap": _serve_bubblewrap,
}
