# ruff: noqa: PTH123
# (runs where pathlib is slow to import)
"""What the attempts have in common: where they are noted, and how a system call is made."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

Target = dict[str, Any]
Attempt = Callable[[Target], object]

SECONDS = 4.0
ATTEMPTS: dict[str, tuple[str, Attempt]] = {}
libc = ctypes.CDLL(None, use_errno=True)
ARM = os.uname().machine == "aarch64"


def attempt(name: str, what: str) -> Callable[[Attempt], Attempt]:
    def note(function: Attempt) -> Attempt:
        ATTEMPTS[name] = (what, function)
        return function

    return note


def call(x86: int, arm: int, *arguments: object) -> int:
    """A system call by its numbers on x86-64 and ARM. Raises OSError."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(libc.syscall(ctypes.c_long(arm if ARM else x86), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def seen(path: str, t: Target) -> bool:
    with open(path, "rb") as file:
        return t["secret"].encode() in file.read(1 << 20)


def opened(names: list[str], flags: int = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK) -> list[str]:
    found = []
    for name in names:
        try:
            os.close(os.open(name, flags))
        except OSError:
            continue
        found.append(name)
    return found


def write(path: str) -> object:
    """Whether it lands in the real file is looked up outside: it may go into a private folder."""
    with open(path, "a") as file:
        file.write("canary\n")
    return None
