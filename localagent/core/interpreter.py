"""How this interpreter is started for localagent's own child processes.

They start in a workspace, which may hold files of anybody's, named like modules that they import.
"""

from __future__ import annotations

import os
import sys


def python(*arguments: str) -> list[str]:
    """The command. -P: the current folder is not a place to import from."""
    return [sys.executable, "-P", *arguments]


def plain_python(*arguments: str) -> list[str]:
    """The command for code that needs the standard library alone: neither the current folder, nor
    the environment, nor installed packages are places to import from."""
    return [sys.executable, "-I", "-S", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, without relative places to import from: an empty one too means
    the current folder."""
    found = dict(os.environ)
    places = found.pop("PYTHONPATH", "").split(os.pathsep)
    absolute = [place for place in places if os.path.isabs(place)]  # noqa: PTH117
    if absolute:
        found["PYTHONPATH"] = os.pathsep.join(absolute)
    return found
