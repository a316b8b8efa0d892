"""The board: which candidate is the best, and which pass what it fails."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult, most_pass
from localagent.agent.repair.candidates import Board, Candidate
from localagent.core.changes import file_change


def candidate(number: int, passing: str) -> Candidate:
    """One that passes these of the tests a to d."""
    tests = tuple(TestResult(t, "passed" if t in passing else "failed") for t in "abcd")
    counts = len(passing), 4 - len(passing)
    result = CheckResult("check", not counts[1], 1, False, 1.0, "", tests, *counts)
    return Candidate(number, "file", "x.py", f"{number}", file_change("x.py", b""), result)


def board(*passing: str) -> Board:
    made = Board(None)
    for number, tests in enumerate(passing, 1):
        made.add(candidate(number, tests))
    return made


def test_what_passes_what_the_best_one_fails() -> None:
    tried = board("a", "abc", "d", "ad", "ab")
    assert tried.best is not None and tried.best.number == 2
    assert [c.number for c in tried.complements()] == [4]


def test_there_is_none_where_the_best_passes_all_that_anyone_does() -> None:
    assert board("a", "abc", "bc").complements() == []
    assert board("abcd", "a").complements() == []
    assert board().complements() == []


def test_one_for_each_test() -> None:
    assert [c.number for c in board("ab", "c", "d", "bd").complements()] == [4, 2]


def test_what_ran_more_tests_or_is_nearer_is_better_where_as_many_pass() -> None:
    def of(passed: int | None, failed: int | None, near: float = 0.0) -> CheckResult:
        return CheckResult(
            "check", False, 1, passed is None, 1.0, "", (), passed, failed, True, near
        )

    worse_first = [of(None, None), of(0, 1), of(0, 20), of(0, 20, 3.5), of(1, 19), of(1, 19, 0.2)]
    assert sorted(worse_first, key=lambda r: r.score) == worse_first


@pytest.mark.parametrize(
    ("passing", "failing", "most"),
    [
        (["a", "b"], ["c[1]", "c[2]", "c[3]"], True),
        (["c[0]", "a"], ["c[1]", "d"], False),
        (["a"], ["b", "c"], False),
    ],
)
def test_cases_of_a_test_count_once(passing: list[str], failing: list[str], most: bool) -> None:
    tests = [TestResult(name, "passed") for name in passing]
    tests += [TestResult(name, "failed") for name in failing]
    counts = len(passing), len(failing)
    assert most_pass(CheckResult("pytest", False, 1, False, 0.1, "", tuple(tests), *counts)) is most
