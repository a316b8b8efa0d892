"""Read a failing test's message: shorten it for the model, and find the values that differ.

Test runners explain a failure in many lines. A model needs only two or three of these lines, and a
small machine takes 15 ms to read each token.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from functools import lru_cache

Edit = tuple[str, str]
"""A part of the actual text, and the expected text in its place; a missing part is ""."""

ONE_TOO_MANY: Edit = ("", "")
"""Stands for a failure in which a list has one extra element at its end."""

_CONDENSED_LINES, _CONDENSED_CHARS = 3, 300
_MARKERS = re.compile(r"[\^~ ]+")
_DIFF = ("- ", "+ ", "? ")
_FIRST = "First differing element"

_TEXT = r"""('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_PAIR = re.compile(
    rf"{_TEXT} [!=]= {_TEXT}|First differing element [^\n]*:\n{_TEXT}\n{_TEXT}(?:\n|$)"
)
_LONGER = re.compile(
    r"^(?:First list|Left) contains (?:1|one) (?:additional element|more item)", re.M
)
_SHORTENED = "..."
_PYTEST_LINES = re.compile(r"^(?:AssertionError: )?assert .*\n\n- (.+)\n(?:\? .*\n)?\+ (.+)$", re.M)
_COMPARED = re.compile(
    r"^(?:AssertionError: (?:assert |[A-Z]\w+ differ: )?|assert )(.+) [!=]= (.+)$", re.M
)
# Two texts with a similarity below this value differ in more than one place.
_LEAST_RATIO = 0.5
# A difference of more characters comes from more than a slip in one constant.
_EDIT_CHARS = 12
# Comparing values of more characters takes more time than a check.
_COMPARED_CHARS = 400
# Nearness of any failed assertion, nearness of a failed comparison, and the most that similar
# values add.
_ASSERTION, _VALUE, _LIKENESS = 0.2, 0.3, 0.6


def condense(message: str) -> str:
    """Shorten a failure's message to one line of at most 300 characters.

    Lines that only mark a position are left out. Two long sequences are cut to their first
    differing elements.
    """
    lines = [line.strip() for line in message.splitlines()]
    lines = [line for line in lines if line and not _MARKERS.fullmatch(line)]
    plain = [line for line in lines if not line.startswith(_DIFF)] or lines
    return " | ".join(_with_difference(plain)[:_CONDENSED_LINES])[:_CONDENSED_CHARS]


def _with_difference(lines: list[str]) -> list[str]:
    """Replace two compared sequences in the lines by their first differing elements."""
    place = next((n for n, line in enumerate(lines) if line.startswith(_FIRST)), None)
    if place is None or len(lines) < place + 3:
        return lines
    before = [line for line in lines[:place] if " differ: " not in line]
    number = lines[place].removeprefix(_FIRST).strip(" :")
    return [*before, f"element {number} is {lines[place + 1]}, expected {lines[place + 2]}"]


def text_edits(message: str) -> list[Edit]:
    """The edits that turn the actual text in pytest's or unittest's message into the expected text.

    Empty if the message compares no texts, or texts with little in common. `ONE_TOO_MANY` stands
    for a list with one extra element.
    """
    edits: list[Edit] = [ONE_TOO_MANY] if _LONGER.search(message) else []
    for actual, expected in _text_pairs(message):
        matcher = difflib.SequenceMatcher(None, actual, expected, autojunk=False)
        if matcher.ratio() < _LEAST_RATIO:
            continue
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind == "equal" or max(b - a, d - c) > _EDIT_CHARS:
                continue
            edits.append((actual[a:b], expected[c:d]))
            if kind == "insert":
                edits += _neighbor_edits(actual, a, expected[c:d])
    return list(dict.fromkeys(edits))


@lru_cache(maxsize=512)  # many changes fail with the same message
def nearness(message: str) -> float:
    """Estimate from a failed test's message how near the test is to passing, from 0 to less than 1.

    A crash is farthest from passing. A wrong value is nearer, and scores more if it resembles the
    expected value. One passed test is worth more than any nearness (partial credit, as in genetic
    programming).
    """
    comparisons = list(_COMPARED.finditer(message))
    # The message begins with the test's own statement, even if other code raised the error.
    if comparisons and (comparisons[-1].start() or comparisons[-1][0].startswith("AssertionError")):
        actual, expected = (text[:_COMPARED_CHARS] for text in comparisons[-1].groups())
        if actual[0] in "'\"[({" and actual[0] == expected[0]:
            matcher = difflib.SequenceMatcher(None, actual, expected, autojunk=False)
            return _VALUE + _LIKENESS * matcher.ratio()
        return _VALUE
    return _ASSERTION if re.search(r"^AssertionError\b", message, re.M) else 0.0


def _text_pairs(message: str) -> Iterator[tuple[str, str]]:
    """The actual and expected text of each comparison of two texts, neither empty."""
    for match in _PAIR.finditer(message):
        texts = [_literal_text(text) for text in match.groups() if text is not None]
        if len(texts) == 2 and "" not in texts and not all(_SHORTENED in t for t in texts):
            yield texts[0], texts[1]
    if _SHORTENED in message:  # pytest prints long texts in full below
        yield from ((new, old) for old, new in _PYTEST_LINES.findall(message))


def _neighbor_edits(actual: str, at: int, missing: str) -> Iterator[Edit]:
    """Express the missing text as a change of the word before it or after it."""
    if before := re.search(r"(?:\w+|\W)$", actual[:at]):
        yield before[0], before[0] + missing
    if after := re.match(r"\w+|\W", actual[at:]):
        yield after[0], missing + after[0]


def _literal_text(literal: str) -> str:
    try:
        return str(ast.literal_eval(literal))
    except (SyntaxError, ValueError):
        return ""
