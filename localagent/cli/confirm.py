"""Asking before something is done that cannot be taken back."""

from __future__ import annotations

import sys

from localagent.cli.output import prompt
from localagent.core.errors import RefusedError


def confirmed(question: str, yes: bool, what: str) -> bool:
    """Whether the user says yes to `question`; `yes` says it beforehand.

    Raises RefusedError where nobody can be asked: `what` ("deleted") was not done then.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(f"nothing was {what}: nobody can be asked here", "--yes does not ask")
    prompt(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
