"""Asking whether what a project brings may be used, with exactly the text that it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from localagent.cli.output import prompt, say
from localagent.permissions.consent import MEANINGS
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.permissions.consent import Consent, ProjectFile

_TRIES = 3


def ask_about(consent: Consent, files: Sequence[ProjectFile], read_line: Callable[[], str]) -> None:
    """Show each file, ask, and remember the answer."""
    for file in files:
        show(consent, file)
        answer = _answer(read_line)
        if answer == "yes":
            consent.agree(file)
        elif answer == "no":
            consent.refuse(file)
        else:
            say(f"  not now; {one_line(file.path)} is not used in this session")


def show(consent: Consent, file: ProjectFile) -> None:
    """What the file is and what is in it; where the user spoke on it before, the difference."""
    name = one_line(file.path)
    difference = consent.difference(file)
    if difference:
        say(f"? {name} of this project has changed since you were asked ({MEANINGS[file.kind]}):")
    else:
        say(f"? this project brings {name} ({MEANINGS[file.kind]}):")
    for line in clean(difference or file.text).rstrip("\n").split("\n"):
        say(f"  | {line}")


def _answer(read_line: Callable[[], str]) -> str:
    for _ in range(_TRIES):
        prompt("  y use it, n never ask again about this text, Enter not now: ")
        line = read_line()
        reply = line.strip().lower()
        if reply in ("y", "yes"):
            return "yes"
        if reply in ("n", "no"):
            return "no"
        if not reply:
            break
    return ""
