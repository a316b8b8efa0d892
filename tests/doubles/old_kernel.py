"""Run a program as a kernel without user namespaces and Landlock does: `old_kernel.py COMMAND...`.

A filter on system calls answers ENOSYS to Landlock's calls, and EPERM to new namespaces. With
`--landlock` before the command, it allows Landlock's calls.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

_LOAD, _RETURN, _EQUAL, _ABOVE, _ANY_BIT = 0x20, 0x06, 0x15, 0x35, 0x45
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_NEW_NAMESPACES = 0x7E020000
_NUMBERS = {"x86_64": (272, 56), "aarch64": (97, 220)}  # unshare, clone


def program(*, landlock: bool = False) -> bytes:
    unshare, clone = _NUMBERS[os.uname().machine]
    code = [
        (_LOAD, 0, 0, 0),
        # Landlock's calls, and clone3, which has its flags in memory.
        (_EQUAL, 3, 0, 435),
        (_ABOVE, 0, 3, 447 if landlock else 444),
        (_ABOVE, 2, 0, 447),
        (_EQUAL, 0, 0, 0),
        (_RETURN, 0, 0, _ENOSYS),
        (_EQUAL, 1, 0, unshare),
        (_EQUAL, 0, 3, clone),
        (_LOAD, 0, 0, 16),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("HBBI", *each) for each in code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from localagent.linux.syscalls import seccomp_install

    landlock = sys.argv[1] == "--landlock"
    command = sys.argv[2:] if landlock else sys.argv[1:]
    seccomp_install(program(landlock=landlock), listen=False)
    os.execvp(command[0], command)
