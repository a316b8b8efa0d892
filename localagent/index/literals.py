"""What a text must hold for a regular expression to match in it: some literals.

foo(bar|qux)+\\s*\\("x"     "foo" and ("bar" or "qux") and '("x'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

Clause = tuple[str, ...]
"""Literals of which the text holds one at least, in some case."""

_MOST = 64
"""Alternatives of a clause: more say little."""


def literals_of(pattern: str, *, regex: bool) -> list[Clause]:
    """The clauses that all hold for a text in which `pattern` matches; none where nothing is sure.
    Literals are of ASCII: other letters have other cases."""
    if not regex:
        return [(part,) for part in re.split(r"[^\x00-\x7f]+", pattern) if part]
    try:
        # re's own parser, so that both read an expression alike; it has no public name.
        parsed: Any = import_module("re._parser").parse(pattern)
    except (ImportError, AttributeError, re.error, OverflowError, RecursionError):
        return []
    return _of_sequence(parsed)


def _of_sequence(items: Iterable[Any]) -> list[Clause]:
    found: list[Clause] = []
    run: list[str] = []

    def ended() -> None:
        if run:
            found.append(("".join(run),))
            run.clear()

    for operator, value in items:
        if str(operator) == "LITERAL" and value < 128:
            run.append(chr(value))
            continue
        ended()
        found += _of_item(str(operator), value)
    ended()
    return found


def _of_item(operator: str, value: Any) -> list[Clause]:
    if operator == "SUBPATTERN":
        return _of_sequence(value[-1])
    if operator == "ATOMIC_GROUP":
        return _of_sequence(value)
    if operator in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _of_sequence(value[2]) if value[0] else []
    if operator == "BRANCH":
        return _of_branch([_of_sequence(one) for one in value[1]])
    return []


def _of_branch(branches: Sequence[list[Clause]]) -> list[Clause]:
    """One clause: the longest of each branch's."""
    if not all(branches):
        return []
    best = [max(one, key=lambda clause: min(map(len, clause))) for one in branches]
    joined = tuple(literal for clause in best for literal in clause)
    return [joined] if len(joined) <= _MOST else []
