"""Syntax trees, query matches and syntax errors. No other module imports tree-sitter.

Grammars load on first use. Grammars are C code by many authors, so the index and the session parse
in a child process (`code/process`). A crash then loses only one answer.
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
"""Most matches that tree-sitter keeps open, to bound its memory; it drops other matches."""

MAX_FAULTS = 200
"""Most syntax errors that are counted in a text."""

_NO_SCRIPT = re.compile(rb"(?is)(?:\A|</script\b).*?(?:<script\b[^>]*>|\Z)")

Match = dict[str, "list[Node]"]
"""The nodes that one match of a query captures, by capture name."""


def parse(language: str, data: bytes) -> Tree:
    """Parse a text into a tree. The tree of broken code contains ERROR nodes."""
    return _parser(language).parse(data)


def code_in(language: str, data: bytes) -> bytes:
    """The code of a file; in a `scripts_only` language, all text outside <script> is blank."""
    if not LANGUAGES[language].scripts_only:
        return data
    return _NO_SCRIPT.sub(lambda match: re.sub(rb"[^\n]", b" ", match.group()), data)


def matches(language: str, root: Node) -> list[Match]:
    """The matches of the language's queries, in no particular order.

    Bytes that are not valid text give no matches if a query compares texts.
    """
    from tree_sitter import QueryCursor

    cursor = QueryCursor(_query(language), match_limit=_MATCHES)
    try:
        return [captured for _, captured in cursor.matches(root)]
    except UnicodeDecodeError:
        return []


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """A syntax error, with its line (from 1) and a description."""

    line: int
    message: str


def faults(language: str, data: bytes) -> list[SyntaxFault]:
    """The syntax errors of a text, in order, at most `MAX_FAULTS`.

    A grammar knows less than a compiler, so it may report an error for a C macro. Only count the
    errors that an edit adds, compared with the text before the edit.
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
