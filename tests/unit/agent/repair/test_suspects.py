"""The ranking of functions: each kind of evidence, alone, decides between like functions."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.suspects import Evidence, rank_functions
from localagent.code.symbols import Symbol

# Each function has four lines, so that nothing but the evidence differs.
NAMES = ("Cart.alpha", "Cart.beta", "gamma")
LINES = {name: range(10 * n + 1, 10 * n + 5) for n, name in enumerate(NAMES)}


def ranked(*tests: TestResult, task: str = "Fix it", text: str = "") -> list[str]:
    kinds = {name: "method" if "." in name else "function" for name in NAMES}
    symbols = [
        Symbol(name, kinds[name], "a.py", lines[0], lines[-1], "") for name, lines in LINES.items()
    ]
    result = CheckResult("pytest", False, 1, False, 0.1, "", tests)
    found = rank_functions(Evidence(task, result, {"a.py": symbols}, {"a.py": text}))
    return [suspect.symbol.name for suspect in found]


def ran(*names: str, ok: bool = False, at: str = "t::x", **more: object) -> TestResult:
    lines = {"a.py": frozenset(n for name in names for n in LINES[name])}
    outcome = "passed" if ok else "failed"
    return TestResult(at, outcome, lines=lines, **more)  # type: ignore[arg-type]


def test_only_functions_that_failing_tests_ran_past_their_first_line_count() -> None:
    assert ranked(ran("Cart.beta"), ran(*NAMES, ok=True)) == ["Cart.beta"]
    defined = TestResult("t::x", "failed", lines={"a.py": frozenset({LINES["gamma"][0]})})
    assert ranked(defined) == []


def test_what_the_most_similar_passing_test_did_not_run_is_first() -> None:
    others = [ran("gamma", ok=True), ran("Cart.alpha", "Cart.beta", ok=True)]
    assert ranked(ran(*NAMES), *others)[0] == "gamma"


def test_what_few_passing_tests_ran_is_before_what_many_ran() -> None:
    passing = [ran("Cart.alpha", "gamma", ok=True), ran(*NAMES, ok=True)]
    assert ranked(ran(*NAMES), *passing)[0] == "Cart.beta"


def test_the_innermost_frame_is_first_under_any_folder() -> None:
    frames = (("t.py", 1), ("/work/x/a.py", LINES["gamma"][1]), ("a.py", LINES["Cart.beta"][1]))
    assert ranked(ran(*NAMES, frames=frames))[:2] == ["Cart.beta", "gamma"]


@pytest.mark.parametrize(
    ("more", "task"),
    [({}, "Let betas be right"), ({"at": "t::TestCart::test_beta[1]"}, "Fix it")],
    ids=["task", "test"],
)
def test_names_in_the_task_and_in_the_tests_count(more: dict[str, str], task: str) -> None:
    assert ranked(ran(*NAMES, **more), task=task)[0] == "Cart.beta"  # type: ignore[arg-type]


def test_rare_words_of_messages_count() -> None:
    text = "\n".join(["total = x"] * 20 + ["def gamma():", "    total = tax"])
    assert ranked(ran(*NAMES, message="wrong total of tax"), text=text)[0] == "gamma"
