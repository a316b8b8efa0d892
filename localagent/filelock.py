"""A lock between processes, kept by the system: it is free again when its holder ends, however."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that the file at `path` stands for, waiting for whoever has it.

    The file is made where it is missing, and stays: to remove it would let two in. On Windows there
    is no waiting; what is deleted there while it is open stays whole. Raises OSError where the file
    cannot be made or the file system has no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
