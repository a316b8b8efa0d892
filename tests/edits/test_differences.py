"""What a failed comparison of two texts says about a slip in one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.edits.differences import text_edits


@pytest.mark.parametrize(
    ("message", "edits"),
    [
        ("AssertionError: 'twenty two' != 'twenty-two'\n- twenty two", [(" ", "-")]),
        ("assert 'a, b, c' == 'a; b; c'", [(",", ";")]),
        ('assert "it\'s 5 l" == "it\'s 5 kg"', [("l", "kg")]),
        ("First differing element 3:\n'one bottles'\n'one bottle'\n", [("s", "")]),
        ("AssertionError: 'clu hlt io' != 'clu hlt io '", []),
        ("AssertionError: 'abc' != 'xyz'", []),
        ("AssertionError: 1 != 2", []),
        ("AssertionError: '' != 'a'", []),
        ("", []),
    ],
)
def test_parts_that_should_be_others(message: str, edits: list[tuple[str, str]]) -> None:
    assert text_edits(message) == edits


@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_any_message_is_read(actual: str, expected: str, rest: str) -> None:
    for old, new in text_edits(f"AssertionError: {actual!r} != {expected!r}{rest}"):
        assert old and old != new
