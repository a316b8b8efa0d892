"""Finds the places of a name in a file's code, but not in comments or strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from localagent.code.languages import LANGUAGES
from localagent.code.parser import code_in, matches, parse

if TYPE_CHECKING:
    from tree_sitter import Node

Role = Literal["definition", "call", "import", "mention"]

_NO_CODE = ("comment", "string", "heredoc", "text", "char_literal", "content", "regex")
_CODE_IN_TEXT = ("interpolation", "substitution")


@dataclass(frozen=True, slots=True)
class Mention:
    """A place of a name: its line (from 1), column (from 0, in bytes), and role."""

    line: int
    column: int
    role: Role


def mentions(language: str, data: bytes, name: str) -> list[Mention]:
    """All places of `name`, in order; empty for a language without the capability "definitions"."""
    if not LANGUAGES[language].can("definitions"):
        return []
    data = code_in(language, data)
    root = parse(language, data).root_node
    roles: dict[int, Role] = {}
    imports: list[tuple[int, int]] = []
    for match in matches(language, root):
        if "name" in match:
            roles[match["name"][0].start_byte] = "definition"
        elif "call" in match:
            roles.setdefault(match["call"][0].start_byte, "call")
        imports += [
            (node.start_byte, node.end_byte)
            for key in ("import", "from", "item")
            for node in match.get(key, ())
        ]
    return list(_places(root, data, name, roles, imports))


def _places(
    root: Node, data: bytes, name: str, roles: dict[int, Role], imports: list[tuple[int, int]]
) -> Iterator[Mention]:
    for match in re.finditer(rb"(?<![\w$])" + re.escape(name.encode()) + rb"(?!\w)", data):
        start = match.start()
        role = roles.get(start)
        if role is None and any(first <= start < end for first, end in imports):
            role = "import"
        if role is None:
            node = root.descendant_for_byte_range(start, match.end())
            if node is None or not _is_code(node):
                continue
            role = "mention"
        yield Mention(
            data.count(b"\n", 0, start) + 1, start - data.rfind(b"\n", 0, start) - 1, role
        )


def _is_code(node: Node | None) -> bool:
    """Whether a leaf of the syntax tree is code, not part of a comment or string."""
    while node is not None and node.parent is not None:
        if any(word in node.type for word in _CODE_IN_TEXT):
            return True
        if any(word in node.type for word in _NO_CODE):
            return False
        node = node.parent
    return True
