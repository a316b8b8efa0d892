"""The canaries: attempts to get out of a sandbox, by topic; run.py makes them. Standard library
alone."""

from __future__ import annotations

from . import (  # noqa: F401 - each notes its attempts
    files,
    hidden,
    kernel,
    mounts,
    network,
    processes,
    sockets,
)
from .known import ATTEMPTS

__all__ = ["ATTEMPTS"]
