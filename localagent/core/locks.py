"""Locks between processes. The system frees a lock when its holder ends for any reason."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK)
"""The error numbers that mean that another process holds the lock."""
# Windows denies reads of a locked byte, so the lock is on a byte far behind the content.
_LOCKED_BYTE = 1 << 40


def lock_now(descriptor: int) -> None:
    """Lock an open file at once. Raises OSError, with a number in BUSY if the lock is held."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def unlock(descriptor: int) -> None:
    """Free the lock that `lock_now` took."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock of the file at `path` inside the `with` block; wait for another holder first.

    Yields the descriptor; a child process that inherits it holds the lock, too. A missing file is
    created; the file is never removed, since two processes could then hold the lock. Windows does
    not wait. Raises OSError if the file cannot be created or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
