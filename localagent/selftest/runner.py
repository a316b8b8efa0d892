# ruff: noqa: T201
"""Run the escape tests for one kind of sandbox, to show what it really denies on this machine.

Every target belongs to a separate process with a separate home (targets.py), so a sandbox that
fails harms nothing. The tests work on Linux only.

Some tests exceed a limit on processes, memory, disk, output or time. Each of these tests runs as a
separate command. It uses far less than a machine has, so a sandbox without limits does no harm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.core.interpreter import python
from localagent.sandbox.base import Command, CommandResult, Sandbox, Snapshot

_SECONDS = 120.0
# The kernel's limit of a socket's path is 107 bytes; the longest path in the run's folder has 41.
_PLACE_BYTES = 107 - len("/tmp12345678/home/.docker/run/docker.sock")
# Without a sandbox these tests would reach other machines.
_OUTWARD = (
    *("tcp-out", "tcp6-out", "tcp-port", "udp-out", "udp6-out", "dns", "icmp", "icmp6"),
    "multicast",
)
HELD = {"seccomp": ("network", "limits"), "none": ()}
"""The topics that a kind holds, where it does not hold all of them."""
_LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class EscapeResult:
    """The result of one escape test.

    `name` is short and stable, `what` describes the attempt, and `detail` is the outcome, such as
    the kernel's error. `topic` is one of escape_tests.TOPICS, or "limits".
    """

    name: str
    what: str
    denied: bool
    detail: str
    topic: str = _LIMITS


def run_escape_tests(
    kind: str, base: Path | None = None, ports: Sequence[int] = ()
) -> list[EscapeResult]:
    """Run every escape test in the sandbox `kind`, within a few seconds.

    The folder for the run lies in `base`, by default the cache folder, or in /var/tmp where paths
    of sockets would be too long. The sandbox opens `ports`; the tests expect that everything else
    is closed. Raises SandboxError, whose text names the missing feature, if the kind does not work
    on this machine.
    """
    if sys.platform != "linux":
        raise SandboxError("escape tests exist for Linux only")
    from localagent.selftest.targets import environment, new_marker, sweep

    root = Path(__file__).resolve().parents[2]
    marker = new_marker()
    with tempfile.TemporaryDirectory(dir=_place(base or paths.private(paths.cache_dir()))) as name:
        home = Path(name, "home")
        home.mkdir()
        variables = environment(home, marker)
        search = [variables.get("PYTHONPATH", ""), str(root)]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, search))
        try:
            done = subprocess.run(
                python("-m", __name__, kind, *map(str, ports)),
                env=variables,
                cwd=home,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        finally:
            sweep(marker)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    if not lines:
        reason = done.stderr.strip().rpartition("\n")[2] or "the tests ended early"
        raise SandboxError(f"the sandbox {kind} could not be tested: {reason}")
    return [EscapeResult(*json.loads(line)) for line in lines]


def _place(folder: Path) -> Path:
    return folder if len(os.fsencode(folder)) <= _PLACE_BYTES else Path("/var/tmp")


def main() -> None:
    """Test the kind in the first argument, with the ports in the other arguments open.

    The program prints a line of JSON for each result.
    """
    from localagent.sandbox.select import make
    from localagent.selftest.targets import sweep

    try:
        results = _run_all(make(sys.argv[1], ports=tuple(map(int, sys.argv[2:]))))
    except SandboxError as error:
        sys.exit(str(error))
    finally:
        sweep(os.environ["CANARY_MARKER"])  # the parent may have been killed
    for result in results:
        print(json.dumps(list(astuple(result))))


def _run_all(sandbox: Sandbox) -> list[EscapeResult]:
    from localagent.selftest import escape_tests
    from localagent.selftest.targets import Targets

    tests = escape_tests.load()
    with Targets(Path.home(), list(tests)) as targets:
        skip = _OUTWARD if sandbox.kind == "none" else ()
        values = targets.values(sandbox.confined, skip)
        (targets.workspace / "targets.json").write_text(json.dumps(values))
        with sandbox.open(targets.workspace) as snapshot:
            program = Path(escape_tests.__file__).with_name("run.py")
            line = f"exec '{sys.executable}' -I -S '{program}'"
            result = snapshot.run(Command(line, seconds=_SECONDS, output_bytes=1 << 20))
            limits = _test_limits(snapshot) if sandbox.kind != "none" else []
        lines = [line for line in result.output.splitlines() if line.startswith("{")]
        if result.exit_code or len(lines) != len(tests) - len(skip):
            raise SandboxError(f"the escape tests ended early: {result.output[-500:]}")
        effects = targets.reached()
        sandbox.close()
    rows = [json.loads(line) for line in lines]
    inside = [
        EscapeResult(
            row["name"],
            row["what"],
            not row["reached"] and row["name"] not in effects,
            effects.get(row["name"], row["detail"]),
            escape_tests.topic(row["name"]),
        )
        for row in rows
    ]
    return [*inside, *limits]


# Limits

_PYTHON = f"'{sys.executable}' -I -S -c"
_END_SECONDS = 40.0  # time for killed processes to end; a survivor would stay for 60
_PROCESSES = 400  # the kernel accepts no limit below 310
# In landlock the kernel counts all processes of an ordinary user: those that end while the command
# runs leave room for as many of its own.
_ENDED_MEANWHILE = 100
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
time.sleep(0.3)
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

_LimitTest = Callable[[Snapshot], tuple[bool, str]]
"""A test that returns whether the sandbox denied the attempt, and details."""


def _test_limits(snapshot: Snapshot) -> list[EscapeResult]:
    return [
        EscapeResult(name, what, *test(snapshot)) for name, (what, test) in _LIMIT_TESTS.items()
    ]


def _fork_bomb(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(_python(_FORKS, processes=_PROCESSES))
    count = done.output.strip()
    held = bool(done.stopped) or not count.isdigit() or int(count) <= _PROCESSES + _ENDED_MEANWHILE
    return held, done.stopped or f"{count or 'no'} processes"


def _memory(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(_python(_MEMORY, memory_bytes=128 << 20))
    return done.exit_code != 0, _end(done)


def _memory_of_many(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(_python(_SHARES, memory_bytes=128 << 20, total_memory_bytes=96 << 20))
    return "filled-up" not in done.output, done.stopped or _end(done)


def _disk(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(_python(_DISK, disk_bytes=16 << 20))
    return "filled-up" not in done.output, done.stopped or _end(done)


def _large_file(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(_python(_LARGE, file_bytes=8 << 20))
    return "filled-up" not in done.output, _end(done)


def _output(snapshot: Snapshot) -> tuple[bool, str]:
    line = "rm -f fill-* large; head -c 4000000 /dev/zero | tr '\\0' x"
    done = snapshot.run(Command(line, seconds=20.0, output_bytes=10_000))
    return len(done.output) < 11_000, f"{done.dropped_bytes} bytes left out"


def _endless(snapshot: Snapshot) -> tuple[bool, str]:
    done = snapshot.run(Command("trap '' TERM INT HUP; while :; do :; done", seconds=0.5))
    return done.timed_out, f"ended after {done.seconds:.1f} s"


def _background(line: str) -> _LimitTest:
    def test(snapshot: Snapshot) -> tuple[bool, str]:
        marker = os.environ["CANARY_MARKER"]
        snapshot.run(
            Command(line.replace("SLEEP", f"sh -c ': {marker}; sleep 60; :'"), seconds=10.0)
        )
        # A killed process takes a moment to end, and longer on a busy machine.
        until = time.monotonic() + _END_SECONDS
        while (alive := _is_alive(marker)) and time.monotonic() < until:
            time.sleep(0.02)
        return not alive, "still there" if alive else "ended with the command"

    return test


def _python(code: str, **limits: int) -> Command:
    return Command(f"{_PYTHON} '{code}'", seconds=20.0, **limits)  # type: ignore[arg-type]


def _end(done: CommandResult) -> str:
    return done.output.strip().rpartition("\n")[2] or f"exit code {done.exit_code}"


def _is_alive(marker: str) -> bool:
    """Report whether another process of the machine has `marker` in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                return True
        except OSError:
            continue
    return False


_LIMIT_TESTS: dict[str, tuple[str, _LimitTest]] = {
    "fork-bomb": ("processes without end", _fork_bomb),
    "memory-hog": ("more memory than a process may have", _memory),
    "memory-hogs": ("more memory than all processes together may have", _memory_of_many),
    "disk-filler": ("filling the disk with many files", _disk),
    "large-file": ("filling the disk with one file", _large_file),
    "output-flood": ("output without end", _output),
    "endless": ("running without end, deaf to signals", _endless),
    "background": ("a process in the background that stays", _background("SLEEP & exit 0")),
    "daemon": (
        "a process that detaches itself and stays",
        _background("(setsid SLEEP >&- 2>&- &) ; :"),
    ),
    "no-hangup": (
        "a process that ignores the hang-up",
        _background("nohup SLEEP >/dev/null 2>&1 &"),
    ),
}
LIMIT_TESTS = tuple(_LIMIT_TESTS)
"""Names of the escape tests that exceed a limit."""


if __name__ == "__main__":
    main()
