"""A parameter that failing tests pass: where it goes, and which call passes it on."""

from __future__ import annotations

import ast

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.parsed_text import Function
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.parameter import missing_parameter, with_parameter
from localagent.edits.textfile import TextFile
from tests.doubles.scripted_turn import scripted_turn


def texts(text: str, name: str = "kind") -> list[str]:
    function = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, Function))
    found = list(with_parameter(text, function, name))
    assert all(ast.parse(new) for new in found)
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("def f(): pass\n", "def f(kind=None): pass\n"),
        ("def f(é, b=2): pass\n", "def f(é, b=2, kind=None): pass\n"),
        (
            "def f(\n    a,\n    *rest,\n): pass\n",
            "def f(\n    a,\n    *rest, kind=None,\n): pass\n",
        ),
        ("def f(*, a: int = 1): pass\n", "def f(*, a: int = 1, kind=None): pass\n"),
    ],
)
def test_it_comes_last_with_a_default(before: str, after: str) -> None:
    assert texts(before) == [after]


@pytest.mark.parametrize("text", ["def f(kind): pass\n", "def f(**others): pass\n"])
def test_nothing_where_it_is_known(text: str) -> None:
    assert texts(text) == []


def test_the_call_that_passes_most_on_comes_first() -> None:
    text = "def f(a, b):\n    log(1)\n    return g(\n        a,\n        b=b,\n    )\n"
    first, second, last = texts(text)
    assert "b=b, kind=kind," in first and "log(1)" in first
    assert "log(1, kind=kind)" in second
    assert last.endswith(text.partition("\n")[2])


def test_a_constructor_keeps_it() -> None:
    text = "class A:\n    def __init__(self, a):\n        self.a = a\n"
    assert "        self.a = a\n        self.kind = kind\n" in texts(text)[0]


def test_only_for_what_the_tests_pass(tmp_path_factory: pytest.TempPathFactory) -> None:
    turn = scripted_turn(tmp_path_factory.mktemp("work"), "Take a kind")
    text = "def f(a):\n    return g(a)\n\ndef h(a):\n    return a\n"
    message = "TypeError: f() got an unexpected keyword argument 'kind'"
    bad = TestResult("t::b", "failed", message)
    start = CheckResult("pytest", False, 1, False, 0.1, "", (bad,), 0, 1)
    problem = Problem("f.py", TextFile(text), start, "pytest", ())
    (drafts,) = missing_parameter(turn, problem, Board(start))
    made = [new for draft in drafts for new in draft.build("")]
    assert made[0].startswith("def f(a, kind=None):\n    return g(a, kind=kind)\n")
    assert all("def h(a):" in new for new in made)
