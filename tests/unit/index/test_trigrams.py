"""Filters of trigrams leave out no file that has what is asked for."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.index.trigrams import Filters, filter_of, literals_of

PACKAGE = Path(__file__).resolve().parents[3] / "localagent"
TEXTS = [path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))[:150]]


def allowed(pattern: str, text: str, *, regex: bool = True) -> bool:
    wanted = Filters(literals_of(pattern, regex=regex))
    return not wanted or wanted.allow(filter_of(text.encode()))


@pytest.mark.parametrize(
    ("pattern", "clauses"),
    [
        ("foo", [("foo",)]),
        ("foo.*bar", [("foo",), ("bar",)]),
        (r"foo(bar|qux)+\s*\(", [("foo",), ("bar", "qux"), ("(",)]),
        ("(?i)Foo", [("Foo",)]),
        ("fo?o", [("f",), ("o",)]),
        ("a|", []),
        ("x*", []),
        ("[ab]c", [("c",)]),
        ("(?!foo)bar", [("bar",)]),
        ("café", [("caf",)]),
        ("(unclosed", []),
        ("(a|b|)c", [("c",)]),
    ],
)
def test_what_must_be_there(pattern: str, clauses: list[tuple[str, ...]]) -> None:
    assert literals_of(pattern, regex=True) == clauses


@pytest.mark.parametrize(
    "pattern",
    [r"def \w+\(self", "class .*Error", r"\bimport\b", "(?i)RAISES (OSError|UsageError)", "x{2,3}"],
)
def test_no_file_that_matches_is_left_out(pattern: str) -> None:
    for text in TEXTS:
        assert allowed(pattern, text) or not re.search(pattern, text)


def test_parts_of_lines_are_found_and_others_mostly_not() -> None:
    rng = random.Random(5)
    kept = 0
    for _ in range(400):
        text = rng.choice(TEXTS)
        start = rng.randrange(max(1, len(text) - 30))
        part = text[start : start + rng.randrange(1, 30)]
        assert allowed(part, text, regex=False)
        assert allowed(part.swapcase(), text, regex=False)
        kept += allowed("qzxv_" + part, text, regex=False)
    assert kept < 40


@given(st.text(alphabet="ab_ .(\né1", max_size=40), st.data())
def test_any_part_of_any_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    part = text[start : data.draw(st.integers(start, len(text)))]
    assert allowed(part, text, regex=False)
    assert allowed(re.escape(part), text)
