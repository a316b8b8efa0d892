"""Hints of failing tests: expected exceptions, and exceptions that a test did not expect."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.hints import Expected, hints_of


def check(
    message: str, statement: str = "", frames: tuple[tuple[str, int], ...] = ()
) -> CheckResult:
    test = TestResult("t.py::test", "failed", message, frames=frames, statement=statement)
    return CheckResult("pytest", False, 1, False, 0.1, "", passed=3, failed=1, tests=(test,))


@pytest.mark.parametrize(
    ("message", "statement", "expected"),
    [
        ("Failed: DID NOT RAISE <class 'TypeError'>", "", Expected("TypeError", "")),
        ("Failed: DID NOT RAISE <class 'a.b.Missing'>", "", Expected("Missing", "")),
        ("AssertionError: ValueError not raised", "", Expected("ValueError", "")),
        (
            "Failed: DID NOT RAISE <class 'TypeError'>",
            'with pytest.raises(TypeError, match=r"^must be .*text$"):',
            Expected("TypeError", "must be text"),
        ),
    ],
)
def test_an_exception_that_no_code_raised(message: str, statement: str, expected: Expected) -> None:
    assert hints_of("a.py", check(message, statement)).expected == (expected,)


def test_an_exception_is_known_at_the_lines_that_it_passed() -> None:
    frames = (("t.py", 3), ("a.py", 7), ("a.py", 2))
    hints = hints_of("a.py", check("KeyError: 'x'", frames=frames))
    assert hints.raised == {7: "KeyError", 2: "KeyError"}
    assert hints.failing_lookups == {2}
    assert hints_of("a.py", check("AssertionError: assert 1 == 2", frames=frames)).raised == {}
