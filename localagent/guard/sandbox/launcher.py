# ruff: noqa: PTH112, PTH123, PTH208
# (a quick start counts here, and pathlib is slow to import)
"""The small program that stands between localagent and a command.

It runs as `python -I -S` with the standard library alone, may be started ahead of time, and then
waits on its standard input for a job: eight bytes of length (little endian) and a marshalled
dictionary (`Job`). Its standard output is the command's output. On the status descriptor it says
what happened, one line each: `R` the command begins, `X <wait status>` it ended, `E <text>` the
sandbox could not be set up, `D <wait status>` process 1 ended. It never outlives localagent:
when its standard input is closed, it and all that it started end.

Processes: the launcher stays outside; `init` is process 1 of the new pid namespace, so that its
end is the end of every process in there; the command is process 2 or so. Without confinement
there is no init, and the launcher adopts orphans in order to end them.
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

from localagent.guard.sandbox import namespace, seccomp, syscalls

# The keys of a job: confined, argv (None: the changes are put and nothing is run), env, cwd,
# limits (pairs of an RLIMIT_* name and a value), processes, and what `namespace.build` reads.
Job = dict[str, Any]

_FILTER = seccomp.program(shared=False)  # made while nobody waits for it
_TICK = 0.05  # seconds between looks where the kernel cannot wake us


def main() -> NoReturn:
    """Serve one job and end; the descriptor for the status is the first argument."""
    status = int(sys.argv[1])
    os.set_inheritable(status, False)
    job = _receive()
    if job is not None:
        _fall_first()
        try:
            (_serve_confined if job["confined"] else _serve_plain)(job, status)
        except OSError as error:
            _say(status, f"E {error}")
    os._exit(0)  # at once: taking the interpreter down in order takes as long as all the rest


def _serve_plain(job: Job, status: int) -> None:
    child = _start_plain(job, status)
    result = _await(child, reap=True)
    _end_descendants(child)
    if result is not None:
        _say(status, f"X {result}")


def _serve_confined(job: Job, status: int) -> None:
    init = _start_confined(job, status)
    result = _await(init, reap=False)
    if result is None:
        os.kill(init, signal.SIGKILL)
        _, result = os.waitpid(init, 0)
    _say(status, f"D {result}")


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


# Without confinement


def _start_plain(job: Job, status: int) -> int:
    if sys.platform == "linux":
        syscalls.adopt_orphans()
    child = os.fork()
    if child == 0:
        _become(job, status)
    return child


def _end_descendants(leader: int) -> None:
    """End what the command left behind; on systems without subreapers only its own group."""
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass
        for child in _children():
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


def _children() -> list[int]:
    """The processes whose parent is this one, from /proc where there is one."""
    found = []
    own = os.getpid()
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # After the name in parentheses: state, parent.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if parent == own:
                found.append(int(name))
    return found


# With confinement


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
        _guarded(status, lambda: _become(job, status))
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


# Both


def _become(job: Job, status: int) -> NoReturn:
    """Turn this process into the command."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(1, 2)
        if job["confined"]:
            syscalls.leave_keyrings()
        for name, value in job["limits"]:
            _limit(name, value)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(job["cwd"])
        _say(status, "R")
        if job["confined"]:
            seccomp.install(_FILTER)
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


def _await(child: int, reap: bool) -> int | None:
    """The wait status of `child`, or None when localagent hung up first."""
    poll = select.poll()
    poll.register(0, 0)  # no events asked for: only a hang-up is reported
    timeout: float | None = _TICK * 1000
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
        timeout = 1000.0 if reap else None
    except (AttributeError, OSError):
        pass  # an older kernel, or not Linux
    while True:
        events = poll.poll(timeout)
        pid, result = os.waitpid(-1 if reap else child, os.WNOHANG)
        while pid not in (0, child):
            pid, result = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return result
        if any(descriptor == 0 for descriptor, _ in events):
            return None
