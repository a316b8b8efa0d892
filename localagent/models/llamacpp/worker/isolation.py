"""How the worker's process is set apart before it loads anything.

Each measure is best effort: where the system refuses one, the worker runs without it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Literal

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Streams on what were descriptors 0 and 1, which are then closed to everyone else.

    The native library prints to descriptor 1; from now on that is descriptor 2, and whatever
    reads descriptor 0 finds its end.
    """
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(requests, os.O_BINARY)
        msvcrt.setmode(replies, os.O_BINARY)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def confine() -> Literal["none", "open"]:
    """Set the process apart; return what network it is left with.

    Must be called while there is one thread. The terminal's Ctrl-C is the parent's to answer. A
    crash leaves no core file (it would be as large as the model), and when memory runs out this
    process goes first, not the session. A new network namespace has no way out; with it the
    worker could not send anything even if the native library were made to by a model file.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    _no_core_file()
    if sys.platform != "linux":
        return "open"
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        pass
    libc = ctypes.CDLL(None, use_errno=True)
    alone = libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    # After unshare, because a change of credentials clears it. The parent spawns the worker from
    # a thread that outlives it: the signal comes when that thread ends.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return "none" if alone else "open"


def _no_core_file() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        pass
