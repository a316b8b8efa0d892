# ruff: noqa: PTH123, PTH208
# (a quick start counts here, and pathlib is slow to import)
"""The small program that stands between localagent and a command.

It runs as `python -I -S` with the standard library alone, may be started ahead of time, and then
waits on its standard input for a job: eight bytes of length (little endian) and a marshalled
dictionary (`Job`). Its standard output is the command's output. On the status descriptor it says
what happened, one line each: `R` the command begins, `X <wait status>` it ended, `E <text>` the
sandbox could not be set up, `D <wait status>` process 1 ended, `K <text>` the limit for which it
was ended, `N <count>` how often something in there reached for another machine. It never outlives
localagent: when its standard input is closed, it and all that it started end.

The launcher stays outside of what confines the command, and watches it. In namespaces, `init` is
process 1 of the new pid namespace, so that its end is the end of every process in there; elsewhere
the launcher adopts orphans in order to end them.
"""

from __future__ import annotations

import marshal
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from localagent.guard.sandbox import landlock_rules as landlock
from localagent.guard.sandbox import namespace, seccomp, syscalls
from localagent.guard.sandbox.broker import Broker
from localagent.guard.sandbox.refusals import refused
from localagent.guard.sandbox.watch import Watch, descendants

# The keys of a job: kind ("plain", "namespace", "bubblewrap" or "landlock"), argv (None: the
# changes are put and nothing is run), env, cwd, limits (pairs of an RLIMIT_* name and a value),
# processes, memory, disk, written (folders), and what the kind itself reads.
Job = dict[str, Any]

_FILTER = seccomp.program(shared=False)  # made while nobody waits for it
_TICK = 0.05  # seconds between looks where the kernel cannot wake us
_WATCH = 0.1  # seconds between looks at the limits


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
            _say(status, f"E {error}")
    os._exit(0)  # at once: taking the interpreter down in order takes as long as all the rest


def _serve_alone(job: Job, status: int) -> None:
    """The kinds without a pid namespace: no confinement, and Landlock."""
    if sys.platform == "linux":
        syscalls.adopt_orphans()
    held = landlock.Held(job) if job["kind"] == "landlock" else None
    child = os.fork()
    if child == 0:
        _become(job, status, held.confine if held else None)
    broker = held.broker(child) if held else None
    watch = Watch(
        child, job["memory"], job["written"], job["disk"], 0 if held else job["processes"]
    )
    result = _await(child, status, watch, reap=True, broker=broker)
    if broker is not None:
        os.close(broker.listener)  # from now on nothing in there can make a process
    _end_descendants(child)
    if broker is not None:
        _say(status, f"N {broker.refused}")
    if result is not None:
        _say(status, f"X {result}")


def _serve_namespace(job: Job, status: int) -> None:
    init = _start_confined(job, status)
    watch = Watch(init, job["memory"], job["written"], job["disk"])
    result = _await(init, status, watch)
    if result is None:
        os.kill(init, signal.SIGKILL)
        _, result = os.waitpid(init, 0)
    # The launcher shares the command's network namespace.
    _say(status, f"N {refused('/proc/self/net')}")
    _say(status, f"D {result}")


def _serve_bubblewrap(job: Job, status: int) -> None:
    """bwrap tells on a pipe how the command ended; where it tells nothing, it could not start it,
    and its output says why."""
    told, tell = os.pipe()
    rules, rule = os.pipe()
    os.write(rule, _FILTER or b"")
    os.close(rule)
    for descriptor, name in ((tell, "STATUS"), (rules, "FILTER")):
        os.set_inheritable(descriptor, True)
        job["argv"] = [str(descriptor) if word == name else word for word in job["argv"]]
    child = os.fork()
    if child == 0:
        _become(job, -1, None)
    os.close(tell)
    watch = Watch(child, job["memory"], job["written"], job["disk"], job["processes"])
    if _await(child, status, watch) is None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    words = os.read(told, 4096).decode(errors="replace").replace("}", " ").split()
    if '"child-pid":' in words:
        _say(status, "R")
    if '"exit-code":' in words:
        code = int(words[words.index('"exit-code":') + 1])
        # As shells do, bwrap tells of a signal by adding 128 to its number.
        _say(status, f"X {code - 128 if code > 128 else code << 8}")


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


def _say(status: int, line: str) -> None:
    try:
        os.write(status, line.replace("\n", " ").encode(errors="replace")[:2000] + b"\n")
    except OSError:
        pass  # nobody listens any more


def _fall_first() -> None:
    """When memory runs out, the kernel shall end the command, not the model or the desktop."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def _end_descendants(leader: int) -> None:
    """End what the command left behind; on systems without subreapers only its own group."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass
        for child in descendants(os.getpid())[1:]:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _start_confined(job: Job, status: int) -> int:
    namespace.enter()
    alive, ours = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(ours)
        _guarded(status, lambda: _init(job, status, alive))
    os.close(alive)
    return init


def _guarded(status: int, body: Callable[[], None]) -> NoReturn:
    """Run the body of a forked process, which must never return into its parent's code."""
    try:
        body()
    except OSError as error:
        _say(status, f"E {error}")
    except Exception as error:  # noqa: BLE001 - the process ends here; its parent must hear why
        _say(status, f"E {type(error).__name__}: {error}")
    finally:
        os._exit(1)


def _init(job: Job, status: int, alive: int) -> None:
    """Process 1: build the view, start the command, collect orphans, report the end."""
    syscalls.die_with_parent(signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # the launcher ended before the line above
        os._exit(1)
    counted = namespace.limit_processes(int(job["processes"]))
    namespace.build(job)
    namespace.drop_privileges()
    syscalls.hide_from_ptrace()
    if job["argv"] is None:
        _say(status, "X 0")
        os._exit(0)
    child = os.fork()
    if child == 0:
        _guarded(status, lambda: _become(job, status, lambda: seccomp.install(_FILTER)))
    result = _collect(child, 0 if counted else int(job["processes"]))
    _say(status, f"X {result}")
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
            time.sleep(_TICK)


def _become(job: Job, status: int, confine: Callable[[], object] | None) -> NoReturn:
    """Turn this process into the command; `confine` is called last."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(1, 2)
        if job["kind"] != "plain":
            syscalls.leave_keyrings()
        for name, value in job["limits"]:
            _limit(name, value)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(job["cwd"])
        _say(status, "R")
        if confine is not None:
            confine()
        os.execve(job["argv"][0], job["argv"], job["env"])
    except OSError as error:
        _say(status, f"E {error}")
    finally:
        os._exit(126)


def _limit(name: str, value: int) -> None:
    number = getattr(resource, name, None)
    if number is None:
        return
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def _await(
    child: int, status: int, watch: Watch, *, reap: bool = False, broker: Broker | None = None
) -> int | None:
    """The wait status of `child`, or None when localagent hung up first or a limit is passed."""
    poll = select.poll()
    poll.register(0, 0)  # no events asked for: only a hang-up is reported
    tick = _TICK
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
        tick = _WATCH
    except (AttributeError, OSError):
        pass  # an older kernel, or not Linux
    if broker is not None:
        poll.register(broker.listener, select.POLLIN)
    next_look = time.monotonic() + _WATCH
    while True:
        events = dict(poll.poll(tick * 1000))
        if broker is not None and events.get(broker.listener, 0) & select.POLLIN:
            broker.serve()
        pid, result = os.waitpid(-1 if reap else child, os.WNOHANG)
        while pid not in (0, child):
            pid, result = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return result
        if 0 in events:
            return None
        if time.monotonic() >= next_look:
            passed = watch.over()
            if passed:
                _say(status, f"K {passed}")
                return None
            next_look = time.monotonic() + _WATCH


_SERVE = {
    "plain": _serve_alone,
    "landlock": _serve_alone,
    "namespace": _serve_namespace,
    "bubblewrap": _serve_bubblewrap,
}
