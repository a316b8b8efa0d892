"""Commands that start this interpreter for localagent's child processes.

A child process starts in a workspace, and must not import a workspace file that has a module's
name.
"""

from __future__ import annotations

import sys

from localagent.core.programs import safe_environment


def python(*arguments: str) -> list[str]:
    """The command that starts Python. With -P, Python imports nothing from the current folder."""
    return [sys.executable, "-P", *arguments]


def plain_python(*arguments: str) -> list[str]:
    """The command that starts Python for code that needs only the standard library.

    Python imports nothing from the current folder, PYTHONPATH or installed packages.
    """
    return [sys.executable, "-I", "-S", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, without folders from which a command's files would be loaded."""
    return safe_environment()
