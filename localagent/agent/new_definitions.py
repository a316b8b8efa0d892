"""Find the functions, methods and classes that a task asks to add, from the task's words."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[A-Za-z_][\w.]*"
_NEW = re.compile(
    r"\b(?:add|create|define|implement|introduce|write)\s+"
    r"(?:(?:an?|the|one|new|another|small|simple|static|class|public|private|helper|utility)\s+)*"
    r"(?:"
    r"(?P<noun>function|method|class|helper|utility)\b"
    rf"(?:\s+(?P<called>called\s+|named\s+)?(?P<mark>`?)(?P<name>{_NAME})(?P<call>\(\))?)?"
    rf"|(?P<mark_before>`?)(?P<name_before>{_NAME})(?P<call_before>\(\))?`?"
    r"\s+(?P<noun_after>function|method|class|helper|utility)\b"
    r")",
    re.IGNORECASE,
)
_OWNER = re.compile(
    r"\b(?:to|of|in|on|for)\s+(?:the\s+)?(?:class\s+)?`?(?P<owner>[A-Z]\w*)\b(?![./])"
)
DESCRIBES = frozenset(
    (
        *("and", "as", "at", "by", "for", "from", "if", "in", "into", "is", "it", "of", "on", "or"),
        *("so", "such", "taking", "that", "to", "under", "when", "which", "with", "without"),
    )
)
"""Words after "function", "method" or "class" that describe it, so they are no name."""

# Words after those nouns that name another thing: "a class attribute", "the function call"
_OTHER_THING = frozenset(
    ("argument", "attribute", "body", "call", "docstring", "parameter", "signature", "variable")
)


@dataclass(frozen=True, slots=True)
class NewDefinition:
    """A definition that a task asks to add.

    `name` is "" if the task does not name it. `owner` is the class of a new method, or "".
    """

    name: str
    is_class: bool = False
    owner: str = ""


def new_definitions(task: str) -> list[NewDefinition]:
    """The functions, methods and classes that a task asks to add, in its order."""
    found = [definition for m in _NEW.finditer(task) if (definition := _definition(task, m))]
    return list(dict.fromkeys(found))


def _definition(task: str, match: re.Match[str]) -> NewDefinition | None:
    noun = (match["noun"] or match["noun_after"]).lower()
    is_class = noun == "class"
    word = match["name_before"] or match["name"] or ""
    is_code = bool(match["mark_before"] or match["call_before"] or match["mark"] or match["call"])
    is_code |= bool(match["called"]) or "_" in word or "." in word.rstrip(".")
    plain = word.rstrip(".").lower()
    if match["noun_after"]:
        if not is_code and not (is_class and word[:1].isupper()):
            return None
    elif not is_code:
        if plain in _OTHER_THING:
            return None
        if not plain or plain in DESCRIBES or plain.endswith("ing"):
            word = ""
        elif noun in ("helper", "utility"):  # "a helper text"
            return None
    owner, _, name = word.rstrip(".").rpartition(".")
    if noun == "method" and not owner:
        sentence = re.split(r"[.;](?=\s)|\n", task[match.end() :])[0]
        place = _OWNER.search(sentence)
        owner = place["owner"] if place else ""
    return NewDefinition(name, is_class, owner)
