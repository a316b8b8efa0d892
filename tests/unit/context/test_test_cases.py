"""Test files condensed to one line a case."""

from __future__ import annotations

import warnings

from hypothesis import given
from hypothesis import strategies as st

from localagent.context.test_cases import condense_tests


def condensed(body: str, *failing: str) -> list[str]:
    return condense_tests(body, failing).splitlines()


def test_a_unittest_class_becomes_a_line_a_case() -> None:
    text = '''# generated
import unittest
from luhn import (
    Luhn,
)


class LuhnTest(unittest.TestCase):
    # a comment
    def test_short(self):
        """Said in words."""
        self.assertIs(Luhn("1").valid(), False)

    def test_letters(self):
        number = "059a"
        self.assertFalse(Luhn(number).valid())
        self.assertIsNone(Luhn(number).error, "a message")

    def test_with_name(self):
        expected = [1,
                    2]
        self.assertEqual(digits("12"), expected)


if __name__ == "__main__":
    unittest.main()
'''
    assert condensed(text) == [
        "from luhn import Luhn",
        "Luhn('1').valid() is False",
        "number = '059a'; not Luhn(number).valid(); Luhn(number).error is None",
        "digits('12') == [1, 2]",
    ]


def test_expected_errors_name_their_type_and_text() -> None:
    text = """
import pytest

class T(unittest.TestCase):
    def test_negative(self):
        with self.assertRaises(ValueError) as err:
            steps(-1)
        self.assertEqual(type(err.exception), ValueError)
        self.assertEqual(err.exception.args[0], "Only positive")

    def test_call(self):
        self.assertRaises(KeyError, look_up, "x")

def test_plain():
    with pytest.raises(TypeError, match="no text"):
        steps("a")
"""
    assert condensed(text) == [
        "steps(-1) raises ValueError('Only positive')",
        "look_up('x') raises KeyError",
        "steps('a') raises TypeError matching 'no text'",
    ]


def test_cases_with_the_same_set_up_share_a_line() -> None:
    text = """
def test_one():
    s = School()
    s.add("A")
    s.add("A")
    assert s.added == [True, False]

def test_two():
    s = School()
    s.add("A")
    s.add("A")
    assert s.roster == ["A"]
"""
    assert condensed(text) == [
        "s = School(); s.add('A'); s.add('A'); s.added == [True, False]; s.roster == ['A']"
    ]


def test_helpers_constants_set_up_and_parameters_stay() -> None:
    text = """
LIMIT = 3

@pytest.mark.parametrize("n, want", [(1, 2), (3, 4)])
def test_next(n, want):
    assert after(n) == want

class T:
    def setUp(self):
        self.box = Box()

    def helper(self):
        return 1

    def test_loop(self):
        for n in range(LIMIT):
            self.assertIn(n, self.box)
"""
    assert condensed(text) == [
        "LIMIT = 3",
        "# before each test: self.box = Box()",
        "def helper(self):",
        "    return 1",
        "@pytest.mark.parametrize('n, want', [(1, 2), (3, 4)])",
        "(n, want): after(n) == want",
        "for n in range(LIMIT):",
        "    self.assertIn(n, self.box)",
    ]


def test_only_failing_cases() -> None:
    text = "def test_a():\n    assert f(1)\n\ndef test_b():\n    assert f(2)\n"
    assert condensed(text, "test_b") == ["f(2)"]


def test_a_long_case_is_cut() -> None:
    (line,) = condensed(f"def test_a():\n    assert f(1) == {list(range(400))}\n")
    assert len(line) < 620 and line.endswith(" …")


def test_other_texts_do_not_change() -> None:
    for text in ("def f(:\n", "def helper():\n    return 1\n", "", "\0"):
        assert condense_tests(text) == text


@given(st.text())
def test_any_text(text: str) -> None:
    assert isinstance(condense_tests(text), str)


def test_the_projects_escapes_cause_no_warning() -> None:
    text = 'import re\n\ndef test_a():\n    assert re.match("\\d", "1")\n'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert condensed(text) == ["import re", "re.match('\\\\d', '1')"]
