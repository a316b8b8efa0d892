"""Where a text does not fit its language's grammar.

Grammars know less than compilers (a macro of C may look wrong to one), so only what an edit adds
counts: compare with the faults of the text before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from localagent.code.parser import parse

if TYPE_CHECKING:
    from tree_sitter import Node

MOST = 200
"""Faults that are counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit in a line (from 1), in words."""

    line: int
    message: str


def faults(language: str, data: bytes) -> list[Fault]:
    """The faults of a text, in order, `MOST` at most."""
    found: list[Fault] = []
    waiting = [parse(language, data).root_node]
    while waiting and len(found) < MOST:
        node = waiting.pop()
        if node.is_missing:
            found.append(Fault(node.start_point.row + 1, f"{node.type!r} is missing"))
        elif node.is_error:
            found.append(_fault(node, data))
        elif node.has_error:
            waiting += reversed(node.children)
    return found


def _fault(node: Node, data: bytes) -> Fault:
    row = node.start_point.row
    line = data.split(b"\n")[row].decode("utf-8", "replace").strip()
    return Fault(row + 1, f"it does not parse: {line[:80]}")
