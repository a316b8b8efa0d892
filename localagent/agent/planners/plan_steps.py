"""Steps of a plan: what one asks for, as far as a change can be held against it.

The check cannot tell whether a step was done, as the plan's end is not there yet.
"""

from __future__ import annotations

import builtins
import re
from keyword import iskeyword

from localagent.core.events import TurnKind

_PLACE = re.compile(r"^In (?:a new file )?[^\s:]+: ")
_NAME = re.compile(
    r"`(?P<marked>[A-Za-z_]\w*)`|\b(?P<called>[A-Za-z_][\w.]*)\(\)"
    r"|(?<![\w/.-])(?P<joined>[a-z]+_\w+)\b(?![/.-]\w)"
)
_FUNCTION = re.compile(r"\bfunction (?:called |named )?`?(?P<name>[a-z_]\w*)\b", re.IGNORECASE)
_REMOVES = re.compile(r"(?:remove|delete|drop)\b", re.IGNORECASE)
_TAKES_OUT = re.compile(r"\b(?:remove|delete|drop|move|replace|rename)\b", re.IGNORECASE)


def is_step(kind: TurnKind) -> bool:
    """Whether a turn carries out a step."""
    return kind in ("step", "last-step")


def own_text(prompt: str) -> str:
    """The step itself, of the prompt of its turn, without the file that it names."""
    return _PLACE.sub("", prompt.strip().split("\n\n")[0])


def new_names(step: str, text: str) -> list[str]:
    """The names of code in a step that `text` lacks; the language's own are none."""
    found = [match[match.lastgroup or 0].split(".")[-1] for match in _NAME.finditer(step)]
    found = [name for name in found if not hasattr(builtins, name) and not iskeyword(name)]
    return [name for name in dict.fromkeys(found) if not _has(text, name)]


def new_function(step: str, text: str) -> str:
    """The function that a step adds to `text`, or ""."""
    match = _FUNCTION.search(step)
    name = match["name"] if match else ""
    return name if name in new_names(f"`{name}`", text) else ""


def not_done(step: str, old: str, new: str) -> str:
    """Why a change is not what a step asks for, or "" where nothing speaks against it."""
    missing = [name for name in new_names(step, old) if not _has(new, name)]
    if missing and not _REMOVES.match(step):
        return f"the step names {missing[0]}, which is not in it"
    had = set(old.splitlines())
    if all(line in had for line in new.splitlines()) and not _TAKES_OUT.search(step):
        return "it only takes lines out, and the step asks for more"
    return ""


def _has(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
