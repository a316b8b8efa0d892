"""Which failing tests a task is about: the others may go on failing.

In a real project some tests fail already: for the version of Python, the network, or a fault that
nobody asked to repair.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from localagent.agent.checks.runner import CheckResult, TestResult, most_pass
from localagent.agent.checks.start_failures import environment_failures
from localagent.agent.turn import Turn
from localagent.agent.word_overlap import words

UNRELATED = "the task is not about"
"""Why a failing test does not count; part of a sentence."""

_NO_NAMES = {"Test", "Tests", "test", "tests"}
"""Words of every task about tests, which are also names of files, classes and functions."""

_TEST_NAME = re.compile(r"\w+\.py\b|\w+")
_CODE = re.compile(r"\b(?P<code>[a-z]+_\w+|[A-Z]\w*[a-z][A-Z]\w*|\w+(?=\())")
_COMMON = words(
    "broken case class code correct fail failing file function method module make now pass passing"
    " please repair run should so suite work working wrong"
)
"""Words of tasks that say nothing about which test is meant."""


def failures_left_out(turn: Turn, start: CheckResult, *, docs: bool) -> dict[str, str]:
    """The failing tests that do not count, by id, each with the reason.

    They cannot run here, or the task is not about them; with `docs`, it is about none. A check that
    the user named counts as a whole, but for tests that cannot run here. So does the check of a
    plan's step. Where most tests fail, only the names of tests in the task leave others out.
    """
    reasons = environment_failures(turn, start)
    if not start.tests or turn.request.check or turn.request.is_step:
        return reasons
    failing = [test for test in start.failing if test.id not in reasons]
    relevant = [] if docs else mentioned_tests(turn.typed, failing)
    if not relevant and not docs:
        relevant = relevant_tests(turn.typed, failing) if most_pass(start) else failing
    ids = {test.id for test in relevant}
    return reasons | {test.id: UNRELATED for test in failing if test.id not in ids}


def mentioned_tests(task: str, tests: Sequence[TestResult]) -> list[TestResult]:
    """Those of the tests that a task names by function, else class, else file."""
    names = set(_TEST_NAME.findall(task)) - _NO_NAMES
    for names_of in (_functions, _classes, _files):
        if found := [test for test in tests if names_of(test) & names]:
            return found
    return []


def relevant_tests(task: str, tests: Sequence[TestResult]) -> list[TestResult]:
    """Those of the failing tests whose names share words with a task, or that fail in its code.

    Without any, a task that asks for passing tests is about all of them, another task about none.
    """
    query = words(task) - _COMMON
    code = [match["code"] for match in _CODE.finditer(task)]
    passing = asks_for_passing(task)
    found = []
    for test in tests:
        text = " ".join(_parts(test) if passing else _functions(test) | _classes(test))
        failure = f"{test.statement}\n{test.message}"
        if words(text) & query or any(name in failure for name in code):
            found.append(test)
    return found or (list(tests) if passing else [])


def asks_for_passing(task: str) -> bool:
    """Whether a task's words ask to make failing tests pass, or to repair something."""
    return any(word in task.lower() for word in ("fix", "pass", "fail", "repair", "broken"))


def _parts(test: TestResult) -> list[str]:
    """The file, the classes and the function of a test, without its parameters."""
    return test.id.partition("[")[0].split("::")


def _functions(test: TestResult) -> set[str]:
    return {_parts(test)[-1]}


def _classes(test: TestResult) -> set[str]:
    return set(_parts(test)[1:-1])


def _files(test: TestResult) -> set[str]:
    name = PurePosixPath(_parts(test)[0]).name
    return {name, name.rpartition(".")[0]}
