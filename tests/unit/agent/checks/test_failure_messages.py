"""What the model is told of a failing test."""

from __future__ import annotations

import pytest

from localagent.agent.checks.failure_messages import condense


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("", ""),
        ("assert add(2, 3) == 5\nassert -1 == 5", "assert add(2, 3) == 5 | assert -1 == 5"),
        (
            'decode("AB", 5),\n^^^^^^^^^^^^^\nIndexError: list index out of range',
            'decode("AB", 5), | IndexError: list index out of range',
        ),
        (
            'self.assertEqual(say(22), "twenty-two")\n'
            "AssertionError: 'twenty two' != 'twenty-two'\n- twenty two\n?       ^\n+ twenty-two",
            'self.assertEqual(say(22), "twenty-two") | '
            "AssertionError: 'twenty two' != 'twenty-two'",
        ),
        (
            "self.assertEqual(recite(2), expected)\n"
            "AssertionError: Lists differ: ['2 green[142 chars]l.'] != ['Two g[14 chars]l.']\n\n"
            "First differing element 0:\n'2 green bottles'\n'Two green bottles'\n\n- ['2 green",
            "self.assertEqual(recite(2), expected) | "
            "element 0 is '2 green bottles', expected 'Two green bottles'",
        ),
        ("- 1\n+ 2", "- 1 | + 2"),
        ("AssertionError: Lists differ: [] != [1]\nFirst differing element 0:", None),
    ],
)
def test_a_message_in_one_line(message: str, text: str | None) -> None:
    assert condense(message) == (message.replace("\n", " | ") if text is None else text)


def test_a_long_message_is_cut() -> None:
    assert len(condense("x" * 1000)) == 300
