"""Starting a command, following it to its end, and ending what it leaves: what the ways to confine
one have in common. Runs in the launcher (see there), so it uses the standard library alone.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

from localagent.linux import syscalls
from localagent.sandbox.kernel.syscall_broker import Broker
from localagent.sandbox.launcher.limits import Watch, descendants

Job = dict[str, Any]
"""See launcher.py."""

TICK = 0.05  # seconds between looks where the kernel cannot wake us
_WATCH = 0.1  # seconds between looks at the limits


def say(status: int, line: str) -> None:
    try:
        os.write(status, line.replace("\n", " ").encode(errors="replace")[:2000] + b"\n")
    except OSError:
        pass  # nobody listens any more


def guarded(status: int, body: Callable[[], None]) -> NoReturn:
    """Run the body of a forked process, which must never return into its parent's code."""
    try:
        body()
    except OSError as error:
        say(status, f"E {error}")
    except Exception as error:  # noqa: BLE001 - the process ends here; its parent must hear why
        say(status, f"E {type(error).__name__}: {error}")
    finally:
        os._exit(1)


def become(job: Job, status: int, confine: Callable[[], object] | None) -> NoReturn:
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
        say(status, "R")
        if confine is not None:
            confine()
        os.execve(job["argv"][0], job["argv"], job["env"])
    except OSError as error:
        say(status, f"E {error}")
    finally:
        os._exit(126)


def _limit(name: str, value: int) -> None:
    import resource  # there is none on Windows, where every module is imported by tests

    number = getattr(resource, name, None)
    if number is None:
        return
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def await_end(
    child: int, status: int, watch: Watch, *, reap: bool = False, broker: Broker | None = None
) -> int | None:
    """The wait status of `child`, or None when localagent hung up first or a limit is passed."""
    poll = select.poll()
    poll.register(0, 0)  # no events asked for: only a hang-up is reported
    tick = TICK
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
                say(status, f"K {passed}")
                return None
            next_look = time.monotonic() + _WATCH


def end_descendants(leader: int) -> None:
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
