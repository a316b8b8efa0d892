"""The commands demo, test, check, setup and bundle, and the order of the setup's steps."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from setuplib import demo, gpu, host, incident, llama, migration, model, places, venv
from setuplib.console import Console, SetupError, duration
from setuplib.process import Runner, foreground, full_disk

_VENV_BYTES = 600_000_000  # measured: 0.35 GB
_RESERVE = 200_000_000
LANES = ("unit", "integration", "real")
_PROCESSES = 4  # more processes wait for each other's sandboxes and for the one real model


def main(argv: Sequence[str]) -> int:
    """Run a command and return its exit code. An error of the setup prints one line."""
    commands: dict[str, Callable[[Console, list[str]], int]] = {
        "demo": _demo,
        "test": _test,
        "check": _check,
        "setup": _setup_only,
        "bundle": _bundle,
    }
    console = Console()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return commands[argv[0]](console, list(argv[1:]))
    except KeyboardInterrupt:
        console.line("interrupted; run it again to continue from here")
        return 130
    except SetupError as error:
        return _report(console, error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _report(console, full_disk("the setup stopped"))


def _report(console: Console, error: SetupError) -> int:
    console.line(f"error: {error.message}")
    for label, text in (("what to do", error.hint), ("full log", error.log)):
        if text:
            console.line(f"  {label}: {text}")
    return 2


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(number)


def setup(console: Console, packages: Sequence[str], engine: bool, kind: str | None = None) -> None:
    """Make the checkout ready to run; `engine` includes llama.cpp and the model.

    `kind` is the GPU that llama.cpp is compiled for from now on (see `gpu`); None keeps the choice.
    A finished setup takes milliseconds and prints one line. Raises SetupError.
    """
    begun = time.monotonic()
    host.warn_about_tools(console)
    if engine and (llama.needed() or kind is not None):
        wanted = gpu.chosen() if kind is None else kind
        llama.compiler(wanted)  # before anything is downloaded
        gpu.compiler(wanted)
    with _alone(console) as lock:
        _check_space(engine)
        runner = Runner(places.log(), lock)
        venv.ensure(console, runner)
        if kind is not None:
            venv.note("gpu", kind)
        venv.install_locked(console, runner, packages)
        if engine:
            llama.install(console, runner)
        venv.install_project(console, runner)
        if engine:
            model.fetch(console, lock)
    total = duration(time.monotonic() - begun)
    console.line(f"  ready        {'in ' + total if console.worked else 'nothing to do'}")


def _check_space(engine: bool) -> None:
    needs: list[tuple[Path, int, str]] = []
    if venv.noted("project") is None:
        needs.append((places.VENV, _VENV_BYTES, "packages"))
    if engine and llama.needed() and not llama.has_wheel():
        needs.append((places.builds(), llama.BUILD_BYTES, "compiling llama.cpp"))
    if engine and model.needed():
        needs.append((places.models(), model.missing_bytes(), "the model"))
    if needs:
        host.check_space([*needs, (needs[0][0], _RESERVE, "reserve")])


@contextlib.contextmanager
def _alone(console: Console, what: str = "setup") -> Iterator[int]:
    """Hold the lock of a setup or a bundle: a second one of the same user waits."""
    places.builds().mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(places.builds() / f"{what}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.line(f"  waiting for another {what} that is running (Ctrl-C to leave) …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
        fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _setup_only(console: Console, arguments: list[str]) -> int:
    kind, packages = gpu.take(arguments)
    setup(console, ["build", "runtime", "test", *packages], engine=True, kind=kind)
    return 0


def _bundle(console: Console, arguments: list[str]) -> int:
    from bundlelib.main import bundle, parse

    options = parse(arguments)
    setup(console, ["build", "runtime"], engine=False)
    # A compile of minutes must not keep a setup waiting.
    with _alone(console, "bundle") as lock:
        return bundle(console, Runner(places.log("bundle"), lock), options)


def _demo(console: Console, arguments: list[str]) -> int:
    kind, options = gpu.take(arguments)
    setup(console, ["build", "runtime", "test"], engine=True, kind=kind)
    if options[:1] == ["incident"]:
        return incident.run(console, options[1:])
    if options[:1] == ["migration"]:
        return migration.run(console, options[1:])
    if options[:1] == ["feature"]:
        return demo.run(console, options[1:], demo.FEATURE)
    return demo.run(console, options)


def _test(console: Console, arguments: list[str]) -> int:
    """Run the tests, or those of the lane that `--lane` names. The unit lane needs no engine."""
    lane, arguments = _lane(arguments)
    setup(console, ["build", "runtime", "test"], engine=lane != "unit")
    env = {**places.environment(), "LOCALAGENT_TEST_MODEL_DIR": str(places.models())}
    folder = [f"tests/{lane}"] if lane else []
    command = [places.PYTHON, "-m", "pytest", *folder, *_side_by_side(arguments), *arguments]
    return foreground(command, env, places.REPO)


def _lane(arguments: list[str]) -> tuple[str, list[str]]:
    """The lane that `--lane NAME` or `--lane=NAME` names ("" for all), and the other arguments."""
    rest = list(arguments)
    lane = ""
    for index, argument in enumerate(arguments):
        if argument == "--lane" or argument.startswith("--lane="):
            lane = argument.partition("=")[2] or "".join(rest[index + 1 : index + 2])
            del rest[index : index + (1 if "=" in argument else 2)]
            if lane not in LANES:
                names = ", ".join(LANES)
                raise SetupError(f"there is no lane {lane!r}", f"the lanes are {names}")
            break
    return lane, rest


def _side_by_side(arguments: list[str]) -> list[str]:
    """pytest's options for parallel tests, unless the arguments choose how to run.

    Tests of one `xdist_group` (such as the real model's) stay in one process, in sequence.
    """
    chosen = ("-n", "--numprocesses", "--dist", "-s", "--capture", "--pdb", "--collect-only")
    if any(argument.startswith(chosen) for argument in arguments):
        return []
    return ["-n", str(min(os.cpu_count() or 1, _PROCESSES)), "--dist", "loadgroup"]


def _check(console: Console, arguments: list[str]) -> int:
    setup(console, ["build", "runtime", "test", "dev"], engine=False)
    python = str(places.PYTHON)
    tests = [python, "-m", "pytest", "tests/unit", *_side_by_side(arguments), *arguments]
    steps = [
        ("format", [python, "-m", "ruff", "format", "--check", "."]),
        ("lint", [python, "-m", "ruff", "check", "."]),
        ("types", [python, "-m", "mypy"]),
        ("types of the setup", [python, "-m", "mypy", "-p", "setuplib", "-p", "bundlelib"]),
        ("help texts and settings in the docs", [python, "scripts/update-docs", "--check"]),
        ("unit tests", tests),
    ]
    env = {**places.environment(), "MYPYPATH": str(places.REPO / "scripts")}
    failed = []
    for name, command in steps:
        console.line(f"  {name}")
        if foreground(command, env, places.REPO) != 0:
            failed.append(name)
    console.line(f"check: {'failed: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0
