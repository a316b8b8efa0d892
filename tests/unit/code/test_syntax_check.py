"""Well-formedness of Python, JSON and TOML."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.code.syntax_check import syntax_error


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.py", "x = 1\ndef f(:\n    pass\n", "line 2: "),
        ("a.py", "def f():\n    x = 1\n  y = 2\n", "line 3: "),
        ("a.py", "return 1\n", "line 1: 'return' outside function"),
        ("a.py", "x = '\0'\n", "line 1: "),
        ("a.py", "(" * 5000, "line 1: "),
        ("a.py", "-" * 100_000 + "1", "line 1: "),
        ("a.json", '{"a": 1,}', "line 1: "),
        ("a.json", "[" * 100_000, "line 1: "),
        ("a.json", '{\n"a": }', "line 2: "),
        ("a.toml", "a = 1\nb = \n", "line 2: "),
        ("a.TOML", "a = ", "line 1: "),
    ],
)
def test_wrong(path: str, text: str, expected: str) -> None:
    found = syntax_error(path, text)
    assert found is not None
    assert found.startswith(expected)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", ""),
        ("a.py", "x: int = 1\n"),
        ("a.json", "{}"),
        ("tsconfig.json", "{ // comment\n}"),
        ("a.toml", "a = 1\n"),
        ("a.c", "int main( {"),
        ("Makefile", "((("),
    ],
)
def test_fine(path: str, text: str) -> None:
    assert syntax_error(path, text) is None


def test_no_warning_is_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert syntax_error("a.py", "x = '\\d'\nif x is 1: pass\n") is None


@given(st.text(), st.sampled_from(["a.py", "a.json", "a.toml"]))
def test_never_raises(text: str, path: str) -> None:
    found = syntax_error(path, text)
    assert found is None or found.startswith("line ")
