"""What a test's message says of two values that differ: which part of a text should be which other
one, and how near the one is to the other."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

Edit = tuple[str, str]
"""A part of what came out, and what was expected in its place; "" where something is missing."""

ONE_TOO_MANY: Edit = ("", "")
"""A list has one element more than was expected, at its end."""

_TEXT = r"""('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_PAIR = re.compile(
    rf"{_TEXT} [!=]= {_TEXT}|First differing element [^\n]*:\n{_TEXT}\n{_TEXT}(?:\n|$)"
)
_LONGER = re.compile(
    r"^(?:First list|Left) contains (?:1|one) (?:additional element|more item)", re.M
)
_SHORTENED = "..."
_PYTEST_LINES = re.compile(r"^(?:AssertionError: )?assert .*\n\n- (.+)\n(?:\? .*\n)?\+ (.+)$", re.M)
_ALIKE = 0.5
_MOST_CHARS = 12
"""A longer part differs for another reason than a slip in one constant."""

_COMPARED = re.compile(
    r"^(?:AssertionError: (?:assert |[A-Z]\w+ differ: )?|assert )(.+) [!=]= (.+)$", re.M
)
_READ_CHARS = 400
_WRONG, _VALUE, _ALIKE_MOST = 0.2, 0.3, 0.6
"""How near a test is that fails an assertion; what its comparison of values adds at least, and two
texts or lists that are all but the same."""


def text_edits(message: str) -> list[Edit]:
    """The parts of a text that should be others, by a failed comparison of pytest or unittest; none
    where it compares no texts, or where the texts have little in common. `ONE_TOO_MANY` for lists
    of which that is so."""
    found: list[Edit] = [ONE_TOO_MANY] if _LONGER.search(message) else []
    for actual, expected in _pairs(message):
        matcher = difflib.SequenceMatcher(None, actual, expected, autojunk=False)
        if matcher.ratio() < _ALIKE:
            continue
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal" or max(b - a, d - c) > _MOST_CHARS:
                continue
            found.append((actual[a:b], expected[c:d]))
            if kind == "insert":
                found += _beside(actual, a, expected[c:d])
    return list(dict.fromkeys(found))


def _pairs(message: str) -> Iterator[tuple[str, str]]:
    """What came out and what was expected, of each comparison of two texts, neither empty."""
    for match in _PAIR.finditer(message):
        texts = [_value(text) for text in match.groups() if text is not None]
        if len(texts) == 2 and "" not in texts and not all(_SHORTENED in t for t in texts):
            yield texts[0], texts[1]
    if _SHORTENED in message:  # as pytest does with long texts; it shows them below in full
        yield from ((new, old) for old, new in _PYTEST_LINES.findall(message))


def nearness(message: str) -> float:
    """How near to passing a failed test is by its message, from 0 to less than 1: an error that
    ends the code is far, a wrong value is nearer, and the nearer the more it is like the right one.

    Tests that pass are worth more than any nearness; it tells apart what passes the same tests
    (partial credit, as in genetic programming).
    """
    found = list(_COMPARED.finditer(message))
    # At the start stands the test's own statement, which is there for any error.
    if found and (found[-1].start() or found[-1][0].startswith("AssertionError")):
        actual, expected = (text[:_READ_CHARS] for text in found[-1].groups())
        if actual[0] in "'\"[({" and actual[0] == expected[0]:
            matcher = difflib.SequenceMatcher(None, actual, expected, autojunk=False)
            return _VALUE + _ALIKE_MOST * matcher.ratio()
        return _VALUE
    return _WRONG if re.search(r"^AssertionError\b", message, re.M) else 0.0


def _beside(actual: str, at: int, missing: str) -> Iterator[Edit]:
    """What is missing, as a change of the word before it or after it."""
    if before := re.search(r"(?:\w+|\W)$", actual[:at]):
        yield before[0], before[0] + missing
    if after := re.match(r"\w+|\W", actual[at:]):
        yield after[0], missing + after[0]


def _value(literal: str) -> str:
    try:
        return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return ""
