"""New bodies of suspicious functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.candidates import Board, Candidate, Draft
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.strategies.body import body
from localagent.core.changes import file_change
from localagent.models.base import Infill
from tests.doubles.scripted_turn import scripted_turn

CODE = 'def add(a, b):\n    """The sum."""\n    return a - b\n\n\ndef twice(a):\n    return a\n'


def fails(name: str, message: str, *lines: int) -> TestResult:
    return TestResult(f"calc_test.py::{name}", "failed", message, lines={"calc.py": set(lines)})


def result(*tests: TestResult, passed: int = 0) -> CheckResult:
    return CheckResult("pytest", False, 1, False, 0.1, "", tests, passed, len(tests))


START = result(fails("test_add", "assert add(1, 1) == 2", 3))


def problem_in(folder: Path) -> Problem:
    (folder / "calc.py").write_text(CODE)
    return Problem("calc.py", open_file(scripted_turn(folder), "calc.py"), START, "pytest", ())


def infill_of(draft: Draft) -> Infill:
    assert draft.request is not None
    assert isinstance(draft.request.prompt, Infill)
    return draft.request.prompt


def test_the_old_body_is_hidden_and_the_failing_case_shown(tmp_path: Path) -> None:
    problem = problem_in(tmp_path)
    first = next(body(scripted_turn(tmp_path, fim=True), problem, Board(START)))
    prefix = infill_of(first[0]).prefix
    assert "return a - b" not in repr(first[0].request)
    assert "# Must hold: assert add(1, 1) == 2\ndef add(a, b):\n" in prefix
    (text,) = first[0].build("    return a + b\n\n")
    assert text == CODE.replace("a - b", "a + b")


def test_no_model_for_infills_no_draft(tmp_path: Path) -> None:
    assert list(body(scripted_turn(tmp_path), problem_in(tmp_path), Board(START))) == []


def test_the_best_candidate_is_changed_where_its_tests_fail(tmp_path: Path) -> None:
    better = CODE.replace("a - b", "a + b")
    two = "assert twice(2) == 4"
    left = result(
        fails("test_two", two, 7), fails("test_three", "assert twice(3) == 6", 7), passed=1
    )
    board = Board(START)
    drafts = body(scripted_turn(tmp_path, fim=True), problem_in(tmp_path), board)
    next(drafts)
    board.add(Candidate(1, "file", "calc.py", better, file_change("calc.py", b""), left))
    second = next(drafts)
    assert f"# Must hold: {two}\n# Must hold: assert twice(3) == 6\n" in infill_of(second[0]).prefix
    (text,) = second[0].build("    return 2 * a\n")
    assert text == better.replace("return a\n", "return 2 * a\n")
    assert list(next(drafts)) == []  # another strategy's turn
    again = next(drafts)
    assert f"6\n# Must hold: {two}\n" in infill_of(again[0]).prefix
    assert again[0].request != second[0].request
    rounds = [len(next(drafts)) for _ in range(20)]
    assert rounds == [0, 3, 0, 3, 0, 3, *[0] * 14]


def test_a_text_that_does_not_parse_has_no_functions(tmp_path: Path) -> None:
    problem = problem_in(tmp_path)
    broken = replace(START, passed=1)
    board = Board(START)
    board.add(Candidate(1, "file", "calc.py", "def (", file_change("calc.py", b""), broken))
    assert list(next(body(scripted_turn(tmp_path, fim=True), problem, board))) == []
