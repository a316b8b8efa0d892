"""Trees, query matches and syntax errors by tree-sitter, which no other module imports.

Grammars load on first use. They are C code of many authors, so the index and the session parse in a
child process (`code/process`): a crash costs one answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING

from localagent.code.languages import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query, Tree

_MATCHES = 4096
"""Most matches that are open at a time: tree-sitter drops more, and they cost memory."""

MAX_FAULTS = 200
"""Syntax errors that are counted."""

_NO_SCRIPT = re.compile(rb"(?is)(?:\A|</script\b).*?(?:<script\b[^>]*>|\Z)")

Match = dict[str, "list[Node]"]
"""The nodes that a match of a pattern captured, by the capture's name."""


def parse(language: str, data: bytes) -> Tree:
    """The tree of a text. Broken code gives a tree too, with ERROR nodes in it."""
    return _parser(language).parse(data)


def code_in(language: str, data: bytes) -> bytes:
    """The code of a file: for a language of `scripts_only` all outside <script> is blank."""
    if not LANGUAGES[language].scripts_only:
        return data
    return _NO_SCRIPT.sub(lambda match: re.sub(rb"[^\n]", b" ", match.group()), data)


def matches(language: str, root: Node) -> list[Match]:
    """The matches of the language's queries, in no useful order.

    None in bytes that are no text, where a query compares texts.
    """
    from tree_sitter import QueryCursor

    cursor = QueryCursor(_query(language), match_limit=_MATCHES)
    try:
        return [captured for _, captured in cursor.matches(root)]
    except UnicodeDecodeError:
        return []


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """A syntax error in a line (from 1), in words."""

    line: int
    message: str


def faults(language: str, data: bytes) -> list[SyntaxFault]:
    """The syntax errors of a text, in order, at most `MAX_FAULTS`.

    A grammar knows less than a compiler: a macro of C may look wrong to it. So only errors that an
    edit adds count; compare with the errors of the text before it.
    """
    found: list[SyntaxFault] = []
    nodes = [parse(language, data).root_node]
    while nodes and len(found) < MAX_FAULTS:
        node = nodes.pop()
        row = node.start_point.row
        if node.is_missing:
            found.append(SyntaxFault(row + 1, f"{node.type!r} is missing"))
        elif node.is_error:
            line = data.split(b"\n")[row].decode("utf-8", "replace").strip()
            found.append(SyntaxFault(row + 1, f"it does not parse: {line[:80]}"))
        elif node.has_error:
            nodes += reversed(node.children)
    return found


@cache
def _language(name: str) -> Language:
    from tree_sitter import Language

    module, _, function = LANGUAGES[name].grammar.partition(":")
    return Language(getattr(import_module(module), function)())


@cache
def _parser(name: str) -> Parser:
    from tree_sitter import Parser

    return Parser(_language(name))


@cache
def _query(name: str) -> Query:
    from tree_sitter import Query

    folder = files("localagent.code") / "queries"
    texts = [(folder / f"{each}.scm").read_text("utf-8") for each in LANGUAGES[name].queries]
    return Query(_language(name), "".join(texts))
