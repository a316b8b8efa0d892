"""Commands that start this interpreter for localagent's child processes.

A child process starts in a workspace, and must not import a workspace file that has a module's
name.
"""

from __future__ import annotations

import os
import sys


def python(*arguments: str) -> list[str]:
    """The command that starts Python. With -P, Python imports nothing from the current folder."""
    return [sys.executable, "-P", *arguments]


def plain_python(*arguments: str) -> list[str]:
    """The command that starts Python for code that needs only the standard library.

    Python imports nothing from the current folder, PYTHONPATH or installed packages.
    """
    return [sys.executable, "-I", "-S", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, with only the absolute folders of PYTHONPATH.

    An empty entry of PYTHONPATH means the current folder.
    """
    variables = dict(os.environ)
    folders = variables.pop("PYTHONPATH", "").split(os.pathsep)
    absolute = [folder for folder in folders if os.path.isabs(folder)]  # noqa: PTH117
    if absolute:
        variables["PYTHONPATH"] = os.pathsep.join(absolute)
    return variables
