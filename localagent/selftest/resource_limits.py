"""Canaries that take too much, or stay too long: processes, memory, disk, output, time.

Each is bounded by itself, well below what a machine has, so that one that gets through a sandbox
that does not hold it does no harm either.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from localagent.sandbox.base import Command, Completed, View

_PYTHON = f"'{sys.executable}' -I -S -c"
_GOING = 40.0  # seconds for killed processes to be gone; the ones that stay would stay for 60
_PROCESSES = 400  # more than the 310 below which a kernel's own limit cannot go
_FORKS = """
import os, time
count = 0
try:
    while count < 800:
        if os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        count += 1
except OSError:
    pass
print(count, flush=True)
time.sleep(1)
"""
_MEMORY = "print(len(bytearray(256 << 20)))"
_SHARES = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = bytearray(b"x") * (48 << 20)
        time.sleep(3)
        os._exit(0)
for _ in range(4):
    os.wait()
print("filled-up")
"""
_DISK = """
for number in range(64):
    with open(f"fill-{number}", "wb") as file:
        file.write(bytes(1 << 20))
import time
time.sleep(1)
print("filled-up")
"""
_LARGE = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("large", "wb", buffering=0) as file:
    while file.tell() < 64 << 20:
        file.write(bytes(1 << 20))
print("filled-up")
"""

Row = tuple[str, str, bool, str]  # name, what, whether it was held, detail
_Bound = Callable[[View, str], tuple[bool, str]]


def tried(view: View, marker: str) -> list[Row]:
    """Try them all in `view`; `marker` is in the command line of what stays behind."""
    return [(name, what, *act(view, marker)) for name, (what, act) in _BOUNDS.items()]


def _fork_bomb(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(_python(_FORKS, processes=_PROCESSES))
    count = done.output.strip()
    held = bool(done.stopped) or not count.isdigit() or int(count) <= _PROCESSES
    return held, done.stopped or f"{count or 'no'} processes"


def _memory(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(_python(_MEMORY, memory_bytes=128 << 20))
    return done.exit_code != 0, _end(done)


def _memory_of_many(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(_python(_SHARES, memory_bytes=128 << 20, total_memory_bytes=96 << 20))
    return "filled-up" not in done.output, done.stopped or _end(done)


def _disk(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(_python(_DISK, disk_bytes=16 << 20))
    view.run(Command("rm -f fill-*"))
    return "filled-up" not in done.output, done.stopped or _end(done)


def _large_file(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(_python(_LARGE, file_bytes=8 << 20))
    view.run(Command("rm -f large"))
    return "filled-up" not in done.output, _end(done)


def _output(view: View, _marker: str) -> tuple[bool, str]:
    line = "head -c 4000000 /dev/zero | tr '\\0' x"
    done = view.run(Command(line, seconds=20.0, output_bytes=10_000))
    return len(done.output) < 11_000, f"{done.dropped_bytes} bytes left out"


def _endless(view: View, _marker: str) -> tuple[bool, str]:
    done = view.run(Command("trap '' TERM INT HUP; while :; do :; done", seconds=1.0))
    return done.timed_out, f"ended after {done.seconds:.1f} s"


def _stays(line: str) -> _Bound:
    def act(view: View, marker: str) -> tuple[bool, str]:
        view.run(Command(line.replace("SLEEP", f"sh -c ': {marker}; sleep 60; :'"), seconds=10.0))
        # A process that was killed takes a moment to go, on a busy machine a longer one.
        until = time.monotonic() + _GOING
        while (alive := _alive(marker)) and time.monotonic() < until:
            time.sleep(0.02)
        return not alive, "still there" if alive else "ended with the command"

    return act


def _python(code: str, **limits: int) -> Command:
    return Command(f"{_PYTHON} '{code}'", seconds=20.0, **limits)  # type: ignore[arg-type]


def _end(done: Completed) -> str:
    return done.output.strip().rpartition("\n")[2] or f"exit code {done.exit_code}"


def _alive(marker: str) -> bool:
    """Whether any process of the machine has `marker` in its command line, but for this one's."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                return True
        except OSError:
            continue
    return False


_BOUNDS: dict[str, tuple[str, _Bound]] = {
    "fork-bomb": ("processes without end", _fork_bomb),
    "memory-hog": ("more memory than a process may have", _memory),
    "memory-hogs": ("more memory than all processes together may have", _memory_of_many),
    "disk-filler": ("filling the disk with many files", _disk),
    "large-file": ("filling the disk with one file", _large_file),
    "output-flood": ("output without end", _output),
    "endless": ("running without end, deaf to signals", _endless),
    "background": ("a process in the background that stays", _stays("SLEEP & exit 0")),
    "daemon": ("a process that detaches itself and stays", _stays("(setsid SLEEP >&- 2>&- &) ; :")),
    "no-hangup": ("a process that ignores the hang-up", _stays("nohup SLEEP >/dev/null 2>&1 &")),
}
NAMES = tuple(_BOUNDS)
