"""The canaries: attempts to get out of a sandbox, by topic; run.py makes them. Standard library
alone."""

from __future__ import annotations

from . import files, hidden, kernel, mounts, network, processes, sockets
from .known import ATTEMPTS

__all__ = ["ATTEMPTS"]
