"""Which failing tests a task is about."""

from __future__ import annotations

import pytest

from localagent.agent.checks.relevant_failures import mentioned_tests, relevant_tests
from localagent.agent.checks.runner import TestResult

FAILING = [
    "tests/test_cart.py::TestTotal::test_sum[1::2]",
    "tests/test_cart.py::test_empty",
    "tests/tests.py::test",
]


@pytest.mark.parametrize(
    ("task", "named"),
    [
        ("fix test_sum, see TestTotal", FAILING[:1]),
        ("fix tests/test_cart.py::test_empty", FAILING[1:2]),
        ("make TestTotal pass", FAILING[:1]),
        ("make the tests in test_cart.py pass", FAILING[:2]),
        ("test_cart fails", FAILING[:2]),
        ("fix the failing tests", []),
        ("this test fails", []),
        ("fix test_summary", []),
    ],
)
def test_the_tests_that_a_task_names(task: str, named: list[str]) -> None:
    tests = [TestResult(each, "failed") for each in FAILING]
    assert [test.id for test in mentioned_tests(task, tests)] == named


TESTS = [
    TestResult("tests/test_converters.py::TestPipe::test_wrapped", "failed", "assert bool"),
    TestResult("tests/test_validators.py::TestIn::test_fail", "failed", "assert 'a' in 'b'"),
    TestResult("tests/test_new.py::test_joined", "failed", "cannot import name 'join_names'"),
]
CONVERTERS, VALIDATORS, NEW = TESTS


@pytest.mark.parametrize(
    ("task", "relevant"),
    [
        ("some validator is wrong since yesterday, please find and repair it", [VALIDATORS]),
        ("fix the failing tests", TESTS),
        ("make the suite pass again", TESTS),
        ("let @src/attr/converters.py to_bool also accept 'si' as True", []),
        ("add a helper join_names to src/attr/_make.py", [NEW]),
        ("add a function that says whether names are joined", [NEW]),
        ("rename the class Pipe to Chain", [CONVERTERS]),
    ],
)
def test_the_tests_that_share_words_with_a_task(task: str, relevant: list[TestResult]) -> None:
    assert relevant_tests(task, TESTS) == relevant
