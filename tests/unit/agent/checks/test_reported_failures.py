"""Failed tests, read from the output of a check without the probe."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.checks.forks import Forks
from localagent.agent.checks.runner import CheckResult, read_result
from localagent.agent.repair.problem import failures, neighbor_paths
from localagent.sandbox.base import CommandResult
from tests.doubles.scripted_sandbox import ScriptedSandbox
from tests.doubles.scripted_turn import run_events, scripted_turn

BAR, DASHES = "=" * 70, "-" * 70
UNITTEST = f"""\
FE.
{BAR}
FAIL: test_midnight (tests.test_unit.WorkTest.test_midnight) (hour=2)
{DASHES}
Traceback (most recent call last):
  File "/w/tests/test_unit.py", line 19, in test_midnight
    self.assertEqual(work("22:00").minutes, 270)
AssertionError: -1170 != 270

{BAR}
ERROR: test_pause (tests.test_unit.WorkTest)
A docstring.
{DASHES}
Traceback (most recent call last):
  File "/w/tests/test_unit.py", line 22, in test_pause
    pause()
  File "/w/shop/work.py", line 3, in pause
    return minutes
           ^^^^^^^
NameError: name 'minutes' is not defined

{DASHES}
Ran 3 tests in 0.001s

FAILED (failures=1, errors=1)
"""
PYTEST = """\
.FF                                                      [100%]
=================================== FAILURES ===================================
_________________________ TestWork.test_midnight[1.5] __________________________

    def test_midnight(hours):
        one = 1
>       assert work(hours) == 270
E       AssertionError: assert -1170 == 270
E        +  where -1170 = work(1.5)

tests/test_work.py:17: AssertionError
__________________________________ test_pause __________________________________
tests/test_work.py:21: in test_pause
    pause()
shop/work.py:3: in pause
    return minutes
E   NameError: name 'minutes' is not defined
=========================== short test summary info ============================
FAILED tests/test_work.py::TestWork::test_midnight[1.5] - AssertionError: ...
2 failed, 1 passed in 1.13s
"""


def result(output: str, code: int = 1) -> CheckResult:
    return read_result("make test", CommandResult(code, output, 0.1), root="/w")


@pytest.mark.parametrize(
    ("output", "path", "class_name", "error"),
    [
        (UNITTEST, "tests/test_unit.py", "WorkTest", "AssertionError: -1170 != 270"),
        (PYTEST, "tests/test_work.py", "TestWork", "AssertionError: assert -1170 == 270"),
    ],
)
def test_failed_tests_are_read(output: str, path: str, class_name: str, error: str) -> None:
    first, second = result(output).failing
    assert first.id.removesuffix("[1.5]") == f"{path}::{class_name}::test_midnight"
    assert first.message.splitlines()[1] == error
    assert first.frames[0][0] == path
    assert second.id.endswith("::test_pause") and second.id.startswith(path)
    assert second.message == "pause()\nNameError: name 'minutes' is not defined"
    assert second.frames[1] == ("shop/work.py", 3)
    assert (result(output).passed, result(output).failed) == (1, 2)
    assert not result(output).tests


def test_the_statement_comes_before_the_error() -> None:
    assert result(PYTEST).failing[0].message.startswith("assert work(hours) == 270\n")
    assert 0 < result(PYTEST).nearness < 2


def test_another_check_counts_as_one_failed_test() -> None:
    (failing,) = result("expected 4:30\ngot -19:30").failing
    assert (failing.id, failing.message) == ("", "expected 4:30\ngot -19:30")
    assert failures(result("expected 4:30")) == "expected 4:30"
    assert neighbor_paths("a.py", ["b.py"], result("x")) == ("b.py",)


def test_a_check_that_passes_or_hangs_has_no_failed_test() -> None:
    assert result("ok", 0).failing == ()
    hanging = read_result("make", CommandResult(-9, "x", 120.0, timed_out=True))
    assert hanging.failing == ()


def test_no_fork_is_tried_for_a_check_without_the_probe(tmp_path: Path) -> None:
    sandbox = ScriptedSandbox([])
    turn = scripted_turn(tmp_path, sandbox=sandbox)
    forks = Forks(turn, "python -m unittest", lean=False)
    forks.launch(result(UNITTEST))
    assert sandbox.commands == []
    assert run_events(forks.start([], result(UNITTEST))) == ([], None)
    assert not forks.usable
