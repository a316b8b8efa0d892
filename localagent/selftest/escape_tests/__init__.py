# ruff: noqa: PTH123
# (the tests start quickly, and pathlib is slow to import)
"""Escape tests: real attempts to leave a sandbox, one module for each topic.

Every test has a description of its attempt. A test returns a true value (a text, a list, or True)
if its attempt succeeds. If the attempt fails, the test returns a false value or raises OSError.
Some effects are visible only from outside: those tests return None, and ../targets.py checks the
effects. The tests need only the standard library, since run.py runs them inside a sandbox.

No test harms a machine, even without a sandbox. The attacked programs and files exist only for the
tests. The tests open other files and close them again. Calls that change the system get arguments
without effect.
"""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

Target = dict[str, Any]
"""Targets from targets.py, by name: paths, ports and process ids."""

EscapeTest = Callable[[Target], object]

TOPICS = ("files", "kernel", "network", "processes")
ESCAPE_TESTS: dict[str, tuple[str, EscapeTest]] = {}
"""Descriptions of the tests by name; `load` fills this dictionary."""

libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"


def load() -> dict[str, tuple[str, EscapeTest]]:
    """Import every topic, and return all escape tests."""
    for topic in TOPICS:
        importlib.import_module(f"{__name__}.{topic}")
    return ESCAPE_TESTS


def topic(name: str) -> str:
    """Return the topic of a test, after `load`."""
    return ESCAPE_TESTS[name][1].__module__.rpartition(".")[2]


def add(name: str, what: str, test: EscapeTest) -> None:
    """Register an escape test."""
    ESCAPE_TESTS[name] = (what, test)


def escape_test(name: str, what: str) -> Callable[[EscapeTest], EscapeTest]:
    """Register the decorated function as an escape test."""

    def register(test: EscapeTest) -> EscapeTest:
        add(name, what, test)
        return test

    return register


def call(x86: int, arm: int, *arguments: object) -> int:
    """Make a system call, given its numbers on x86-64 and ARM. Raises OSError."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(int(libc.syscall(ctypes.c_long(arm if ARM else x86), *converted)))


def checked(result: int) -> int:
    """Return the result of a C library function. Raises OSError if the result is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def has_secret(path: str, t: Target) -> bool:
    """Report whether a file is readable and holds the secret. Raises OSError."""
    with open(path, "rb") as file:
        return t["secret"].encode() in file.read(1 << 20)


def can_open(path: str, flags: int = os.O_RDONLY) -> bool:
    """Open a file and close it again. Raises OSError."""
    os.close(os.open(path, flags))
    return True


def successes(paths: Iterable[str], action: Callable[[str], object]) -> list[str]:
    """Return the paths for which `action` succeeds."""
    found = []
    for path in paths:
        try:
            if action(path):
                found.append(path)
        except OSError:
            continue
    return found


def append(path: str) -> object:
    """Append to a file, or create it; targets.py checks it, since its folder may be private."""
    with open(path, "a") as file:
        file.write("canary\n")
    return None


def succeeds(function: Callable[..., object], *arguments: object) -> bool:
    """Call a function, and return True. An OSError of the function passes through."""
    function(*arguments)
    return True
