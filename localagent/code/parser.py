"""tree-sitter: the one module that imports it. A grammar is loaded when it is first needed.

Grammars are C code of many authors, so this runs in a child process (`child`), whose death costs
one answer.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING

from localagent.code.languages import LANGUAGES

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Parser, Query, Tree

_MATCHES = 4096
"""Matches that are open at a time, at most: more are dropped by tree-sitter, and cost memory."""

Match = dict[str, "list[Node]"]
"""What a match of a pattern captured, by the capture's name."""


def parse(language: str, data: bytes) -> Tree:
    """The tree of a text. Broken code gives a tree too, with ERROR nodes in it."""
    return _parser(language).parse(data)


def matches(language: str, root: Node) -> list[Match]:
    """What the language's queries find, in no useful order; nothing in bytes that are no text where
    a query compares texts."""
    from tree_sitter import QueryCursor

    cursor = QueryCursor(_query(language), match_limit=_MATCHES)
    try:
        return [captured for _, captured in cursor.matches(root)]
    except UnicodeDecodeError:
        return []


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
