"""Confine git by Landlock: it starts no other program, and writes only to given folders.

A repository's settings, hooks and links can make git start programs and write anywhere. `-c`
options switch off the settings that are known (run.py); new versions of git bring new ones. So on
Linux the kernel refuses the rest. Landlock confines a thread, so git starts from a thread that
restricts itself first and ends afterwards.

Landlock of Linux 6.2 is needed. On other systems git runs with the options alone.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 10, 1 << 11
_HANDLED = ((1 << 15) - 1) & ~(_READ_FILE | _READ_DIR)
_WRITE = _HANDLED & ~(_EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_FIFO | _MAKE_BLOCK)
_NEEDED_VERSION = 3  # the first that checks truncation

_INTERPRETER = 3  # PT_INTERP of elf(5)
_ELF_64_LITTLE = b"\x7fELF\x02\x01"


def confined(git: str, writable: Sequence[Path], call: Callable[[], _Result]) -> _Result:
    """Return the result of `call`, which runs the program `git`.

    `writable` are folders in which git may write. Raises what `call` raises.
    """
    if not can_confine(git):
        return call()
    results: list[_Result] = []
    errors: list[BaseException] = []

    def restrict_and_call() -> None:
        from localagent.linux import syscalls

        try:
            rules = _rules(git, writable)
            try:
                syscalls.landlock_restrict(rules)
            finally:
                os.close(rules)
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it again
            errors.append(error)

    thread = threading.Thread(target=restrict_and_call, name="git", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@cache
def can_confine(git: str) -> bool:
    """Report whether this system can confine the program `git`, which must not be a script."""
    if sys.platform != "linux":
        return False
    from localagent.linux import syscalls

    try:
        return syscalls.landlock_version() >= _NEEDED_VERSION and bool(list(_loader(git)))
    except OSError:
        return False


def _rules(git: str, writable: Sequence[Path]) -> int:
    """Return a descriptor of the rules. Raises OSError."""
    from localagent.linux import syscalls

    rules = syscalls.landlock_ruleset(_HANDLED, 0, 0)
    allowed = [(path, _EXECUTE) for path in (git, *_loader(git))]
    allowed.append((os.devnull, _WRITE_FILE))
    try:
        for path, rights in allowed:
            _allow(rules, os.open(path, os.O_PATH | os.O_CLOEXEC), rights)
        for folder in writable:
            descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                _allow(rules, descriptor, _WRITE)
            else:
                os.close(descriptor)
    except BaseException:
        os.close(rules)
        raise
    return rules


def _allow(rules: int, descriptor: int, rights: int) -> None:
    from localagent.linux import syscalls

    try:
        syscalls.landlock_allow(rules, descriptor, rights)
    finally:
        os.close(descriptor)


def _loader(program: str) -> Iterator[str]:
    """Yield the dynamic loader that the ELF file `program` names. Raises OSError."""
    with open(program, "rb") as file:  # noqa: PTH123
        header = file.read(64)
        if not header.startswith(_ELF_64_LITTLE) or len(header) < 64:
            return
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        for number in range(count):
            file.seek(table + number * size)
            entry = file.read(size)
            if len(entry) >= 56 and struct.unpack_from("<I", entry)[0] == _INTERPRETER:
                (offset,) = struct.unpack_from("<Q", entry, 8)
                (length,) = struct.unpack_from("<Q", entry, 32)
                file.seek(offset)
                yield os.fsdecode(file.read(length).rstrip(b"\0"))
