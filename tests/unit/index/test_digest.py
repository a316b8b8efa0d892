"""A file in pieces: every line once, each under the definition that it belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localagent.code.symbols import Symbol
from localagent.index.digest import LONGEST, Chunk, chunks
from tests.doubles.outline import outline

SOURCE = '''"""A module."""

import os
import sys

LIMIT = 3


class Stack:
    """A stack."""

    size = 0

    @property
    def empty(self):
        return self.size == 0

    def push(self, item):
        self.size += 1


def main():
    print(Stack())
'''


def test_functions_methods_and_what_is_between() -> None:
    found = chunks(outline("a.py", SOURCE), SOURCE.count("\n"))
    assert found == [
        Chunk("", 1, 8),
        Chunk("Stack", 9, 14),
        Chunk("Stack.empty", 15, 16),
        Chunk("Stack.push", 17, 19),
        Chunk("main", 20, 23),
    ]


def test_a_long_function_is_cut() -> None:
    found = chunks([Symbol("f", "function", "a", 1, 200, "f")], 200)
    assert [(c.line, c.end_line) for c in found] == [
        (first, first + 39) for first in range(1, 200, 40)
    ]
    assert chunks([], 0) == []


@st.composite
def definitions(draw: st.DrawFn) -> tuple[list[Symbol], int]:
    lines = draw(st.integers(0, 300))
    spans = draw(st.lists(st.tuples(st.integers(1, 310), st.integers(0, 120)), max_size=20))
    return [Symbol(f"n{a}", "function", "a", a, a + n, "") for a, n in spans], lines


@given(definitions())
def test_every_line_is_in_one_piece(case: tuple[list[Symbol], int]) -> None:
    symbols, lines = case
    found = chunks(symbols, lines)
    covered = [line for chunk in found for line in range(chunk.line, chunk.end_line + 1)]
    assert covered == list(range(1, lines + 1))
    assert all(chunk.end_line - chunk.line < LONGEST for chunk in found)
