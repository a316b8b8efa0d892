# ruff: noqa: PTH116
# (the launcher starts quickly, and pathlib is slow to import)
"""Start a command, watch its limits, follow it to its end, and end what it leaves behind.

Every kind of confinement uses this module. The module runs in the launcher and needs only the
standard library.

The kernel's own limits apply to one process or one file. Control groups would limit all processes
together, but many systems give an ordinary user no control groups. So the launcher measures memory
and disk ten times a second.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable

from localagent.linux import procfs, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than the rest of the launcher
    from typing import Any, NoReturn

    from localagent.sandbox.launcher.socket_broker import SocketBroker
    from localagent.sandbox.launcher.syscall_broker import Broker

    Job = dict[str, Any]  # see main.py

TICK = 0.05  # seconds between polls if the kernel cannot wake the launcher
_WATCH_SECONDS = 0.1  # between checks of the limits
# The launcher stops a command before the disk or the memory is full, even if other programs fill
# them.
_LEAST_DISK = 256 << 20
_LEAST_MEMORY = 128 << 20
_SHARED_BY_OTHERS = 256 << 20
# The minimum time between two measurements of the written files: in seconds, and as a multiple of
# one measurement's duration.
_MEASURE_SECONDS = 0.3
_MEASURE_REST = 20
_END_SECONDS = 10.0  # for processes that the kernel ends


def serve_plain(job: Job, status: int) -> None:
    """Run a command without confinement."""
    if sys.platform == "linux":
        syscalls.adopt_orphans()
    child = os.fork()
    if child == 0:
        become(job, status, None)
    counter = procfs.NoRouteCounter("/proc/self/net") if job["isolated_network"] else None
    result = await_end(child, status, LimitWatch(child, job, job["processes"]), reap=True)
    end_descendants(child)
    if counter is not None:
        say(status, f"N {counter.count()}")
    if result is not None:
        say(status, f"X {result}")


def say(status: int, line: str) -> None:
    """Send localagent a line of the status protocol (see main.py)."""
    try:
        os.write(status, line.replace("\n", " ").encode(errors="replace")[:2000] + b"\n")
    except OSError:
        pass  # localagent has ended


def guarded(status: int, body: Callable[[], None]) -> NoReturn:
    """Run the body of a forked process, which must never return into its parent's code."""
    try:
        body()
    except OSError as error:
        say(status, f"E {error}")
    except Exception as error:  # noqa: BLE001 - the child must report any error
        say(status, f"E {type(error).__name__}: {error}")
    finally:
        os._exit(1)


def limit_user_processes(job: Job) -> None:
    """Bound the processes of an ordinary user; RLIMIT_NPROC does not bind root's."""
    if job["processes"] and os.geteuid() != 0:
        tasks = procfs.count_user_tasks() + job["processes"]
        job["limits"].append(("RLIMIT_NPROC", tasks))


def become(job: Job, status: int, confine: Callable[[], object] | None) -> NoReturn:
    """Turn this process into the command; call `confine` last."""
    try:
        os.setsid()
        source = job["input"]
        os.dup2(os.open(os.devnull, os.O_RDONLY) if source is None else source, 0)
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
    import resource  # missing on Windows, where tests import every module

    number = getattr(resource, name, None)
    if number is None:
        return
    hard = resource.getrlimit(number)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(number, (value, value))


def await_end(
    child: int,
    status: int,
    watch: LimitWatch,
    *,
    reap: bool = False,
    broker: Broker | SocketBroker | None = None,
) -> int | None:
    """Return the wait status of `child`; None if localagent hung up or a limit was passed.

    localagent hangs up by closing the launcher's standard input. `reap` also collects orphans.
    """
    poll = select.poll()
    poll.register(0, 0)  # no events: poll reports only a hang-up
    tick = TICK
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
        tick = _WATCH_SECONDS
    except (AttributeError, OSError):
        pass  # an older kernel, or not Linux
    if broker is not None:
        poll.register(broker.listener, select.POLLIN)
    next_check = time.monotonic() + _WATCH_SECONDS
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
        if time.monotonic() >= next_check:
            violation = watch.violation()
            if violation:
                say(status, f"K {violation}")
                return None
            next_check = time.monotonic() + _WATCH_SECONDS


def end_descendants(leader: int, *, scoped: bool = False) -> None:
    """End the processes that the command left; without subreapers, end only its process group.

    If this process is `scoped` to signal only its descendants, one signal to all that it can reach
    ends them at once. Otherwise all are stopped first. Processes that make processes and continue
    each other can outrun the loop.
    """
    if scoped:
        _end_all()
        return
    deadline = time.monotonic() + 2.0
    stopped: set[int] = set()
    while time.monotonic() < deadline:
        new = set(procfs.descendants(os.getpid())[1:]) - stopped
        if not new:
            break
        for child in new:
            try:
                os.kill(child, signal.SIGSTOP)
            except OSError:
                pass
        stopped |= new
    deadline = time.monotonic() + _END_SECONDS  # its own: no stopped process may stay behind
    while time.monotonic() < deadline:
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass
        for child in procfs.descendants(os.getpid())[1:]:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
        if _reaped_all():
            return
        time.sleep(0.002)


def _end_all() -> None:
    """End all processes that this process can signal, and wait for their end.

    The kernel starts no process meanwhile: a parent that has this signal starts none.
    """
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        return  # there is none
    deadline = time.monotonic() + _END_SECONDS
    while not _reaped_all() and time.monotonic() < deadline:
        time.sleep(0.002)


def _reaped_all() -> bool:
    """Reap the ended children; report whether no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return True
    return False


class LimitWatch:
    """Checks the limits on all descendants of the process `root` together.

    Keys of the job: `memory` and `disk` in bytes (0: no limit), and `written`, the folders that the
    command fills; all of them lie on one disk. `processes` is the limit on processes, 0 for no
    limit.
    """

    def __init__(self, root: int, job: Job, processes: int = 0) -> None:
        self._root = root
        self._processes = processes
        self._memory: int = job["memory"]
        self._folders: list[str] = job["written"]
        self._disk: int = job["disk"]
        self._shared = procfs.memory_row("Shmem:") or 0
        self._free = self._free_disk()
        self._enough = self._free - self._disk  # more free space proves that the limit holds
        self._next_measurement = time.monotonic() + _MEASURE_SECONDS

    def violation(self) -> str:
        """Describe the limit that the command passed, for the user; "" if it passed none."""
        processes = procfs.descendants(self._root)
        if self._processes and len(processes) > self._processes:
            return f"the command had more than {self._processes} processes"
        if self._memory:
            if sum(map(procfs.private_memory, processes)) + self._shared_memory() > self._memory:
                return f"all processes together took more than {self._memory >> 20} MiB of memory"
            available = procfs.available_memory()
            if available is not None and available < _LEAST_MEMORY:
                return "the machine's memory was nearly full"
        if self._disk and self._folders:
            free = self._free_disk()
            # Measure at once if the disk lost so much space that this command may be the cause.
            # Measure at intervals too, since the command may fill space that other programs free.
            if free < self._enough or time.monotonic() >= self._next_measurement:
                written = self._bytes_on_disk(processes)
                if written > self._disk:
                    return f"the command wrote more than {self._disk >> 20} MiB to the disk"
                self._enough = free - (self._disk - written)
            if free < _LEAST_DISK < self._free:
                return "the disk was nearly full"
        return ""

    def _free_disk(self) -> int:
        if not self._folders:
            return 0
        try:
            stat = os.statvfs(self._folders[0])
        except OSError:
            return 0
        return stat.f_bavail * stat.f_frsize

    def _shared_memory(self) -> int:
        """Return the rise of shared memory and of files in memory since the start.

        They belong to no process. Other programs need some too, so a small rise does not count.
        """
        rise = (procfs.memory_row("Shmem:") or 0) - self._shared
        return rise if rise > _SHARED_BY_OTHERS else 0

    def _bytes_on_disk(self, processes: list[int]) -> int:
        start = time.monotonic()
        total = sum(map(_disk_usage, self._folders))
        try:
            total += procfs.deleted_bytes(processes, os.stat(self._folders[0]).st_dev)
        except OSError:
            pass
        end = time.monotonic()
        self._next_measurement = end + max(_MEASURE_SECONDS, _MEASURE_REST * (end - start))
        return total


def _disk_usage(folder: str) -> int:
    """Return the bytes on the disk of everything below a folder."""
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total
