"""Commands that start this interpreter for localagent's child processes.

A child process starts in a workspace, and must not import a workspace file that has a module's
name.
"""

from __future__ import annotations

import re
import sys

from localagent.core.programs import safe_environment

_SECRET = re.compile("TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY|AUTH_SOCK")


def python(*arguments: str) -> list[str]:
    """The command that starts Python. With -P, Python imports nothing from the current folder."""
    return [sys.executable, "-P", *arguments]


def plain_python(*arguments: str) -> list[str]:
    """The command that starts Python for code that needs only the standard library.

    Python imports nothing from the current folder, PYTHONPATH or installed packages.
    """
    return [sys.executable, "-I", "-S", *arguments]


def environment() -> dict[str, str]:
    """This process's environment, without secrets and without folders that commands can write to.

    pip keeps its variables, since it may need a password for its index.
    """
    return {
        name: value
        for name, value in safe_environment().items()
        if name.startswith("PIP_") or not _SECRET.search(name.upper())
    }
