"""What a failed comparison of two texts says about a slip in one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.checks.failure_messages import ONE_TOO_MANY, nearness, text_edits


@pytest.mark.parametrize(
    ("message", "edits"),
    [
        ("AssertionError: 'twenty two' != 'twenty-two'\n- twenty two", [(" ", "-")]),
        ("assert 'a, b, c' == 'a; b; c'", [(",", ";")]),
        ('assert "it\'s 5 l" == "it\'s 5 kg"', [("l", "kg")]),
        ("First differing element 3:\n'one bottles'\n'one bottle'\n", [("s", "")]),
        ("AssertionError: 'hlt io' != 'hlt io '", [("", " "), ("io", "io ")]),
        (
            "assert f(9) == 'x'\nAssertionError: assert 'ten t...and one' == 'ten t...and one'\n\n"
            "- ten thousand-and one\n?             ^\n+ ten thousand and one",
            [(" ", "-")],
        ),
        ("AssertionError: 'ab cd' != 'ab-cd'", [(" ", "-")]),
        (
            "AssertionError: 'one two' != 'one, two'",
            [("", ","), ("one", "one,"), (" ", ", ")],
        ),
        (
            "AssertionError: Lists differ: [1] != []\n\nFirst list contains 1 additional elements.",
            [ONE_TOO_MANY],
        ),
        ("assert [1, 2] == [1]\nLeft contains one more item: 2", [ONE_TOO_MANY]),
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
        assert old != new or (old, new) == ONE_TOO_MANY


@pytest.mark.parametrize(
    "messages",
    [
        (
            "say(1)\nKeyError: 1",
            "f(1)\nAssertionError: ValueError not raised",
            "f()\nassert 1 == 2",
        ),
        ("AssertionError: 1 != 2", "AssertionError: 'abc' != 'xyz'", "AssertionError: 'a' != 'ab'"),
        ("assert f(1) == 'a'\nTypeError: no", "assert f(1) == 'a'\nassert 'b' == 'a'"),
        (
            "AssertionError: Lists differ: [1, 2] != [4, 5]",
            "AssertionError: Lists differ: [1, 2] != [1, 3]",
        ),
    ],
)
def test_what_is_nearer_to_passing(messages: tuple[str, ...]) -> None:
    near = [nearness(f"{message}\n") for message in messages]
    assert near == sorted(near) and near[0] < near[-1] < 1


@given(st.text(), st.text(), st.text())
def test_any_message_is_somewhere_from_far_to_near(a: str, b: str, rest: str) -> None:
    for left, right in ((a, b), (repr(a), repr(b))):
        assert 0 <= nearness(f"{rest}\nAssertionError: {left} != {right}\n") < 1
