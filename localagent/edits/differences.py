"""What a test's message says of two texts that differ: which part should be which other one."""

from __future__ import annotations

import ast
import difflib
import re

Edit = tuple[str, str]
"""A part of what came out, and what was expected in its place."""

_TEXT = r"""('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_PAIR = re.compile(
    rf"{_TEXT} [!=]= {_TEXT}|First differing element [^\n]*:\n{_TEXT}\n{_TEXT}(?:\n|$)"
)
_ALIKE = 0.5
_MOST_CHARS = 12
"""A longer part differs for another reason than a slip in one constant."""


def text_edits(message: str) -> list[Edit]:
    """The parts of a text that should be others, by a failed comparison of pytest or unittest; none
    where it compares no texts, or where the texts have little in common."""
    found: list[Edit] = []
    for match in _PAIR.finditer(message):
        texts = [_value(text) for text in match.groups() if text is not None]
        if len(texts) != 2 or "" in texts:
            continue
        actual, expected = texts
        matcher = difflib.SequenceMatcher(None, actual, expected, autojunk=False)
        if matcher.ratio() < _ALIKE:
            continue
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind in ("replace", "delete") and b - a <= _MOST_CHARS and d - c <= _MOST_CHARS:
                found.append((actual[a:b], expected[c:d]))
    return list(dict.fromkeys(found))


def _value(literal: str) -> str:
    try:
        return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return ""
