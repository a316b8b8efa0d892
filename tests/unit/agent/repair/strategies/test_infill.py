"""Where a line or two are filled in, and when."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.strategies.infill import infill
from tests.doubles.scripted_turn import scripted_turn

LINES = "".join(f"    x = x + {n}\n" for n in range(1, 7))
FAILS = TestResult("calc_test.py::test_add", "failed", "assert add(2, 3) == 5")


def result(passed: int, failed: int) -> CheckResult:
    return CheckResult("pytest", False, 1, False, 0.1, "", (FAILS,), passed, failed)


@pytest.mark.parametrize(
    ("passed", "failed", "places", "samples"),
    [(1, 9, 0, 0), (5, 5, 4, 0), (10, 2, 4, 0), (9, 1, 4, 4), (19, 1, 4, 4)],
)
def test_the_nearer_it_is_the_more_comes_before_anything_is_written_anew(
    tmp_path: Path, passed: int, failed: int, places: int, samples: int
) -> None:
    (tmp_path / "calc.py").write_text(f"def add(x):\n{LINES}    return x\n")
    turn = scripted_turn(tmp_path, fim=True, parallel=8)
    start = result(passed, failed)
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    batches = list(takewhile(bool, infill(turn, problem, Board(start))))
    first = list(takewhile(lambda drafts: drafts[0].keeps_slot, batches))
    assert [len(drafts) for drafts in first] == [2] * places + [8] * samples
    assert not any(drafts[0].keeps_slot for drafts in batches[len(first) :])
    asked = [repr(draft.request) for drafts in batches for draft in drafts]
    assert len(set(asked)) == len(asked), "something is asked for twice"


def test_a_long_line_has_room(tmp_path: Path) -> None:
    line = "    return " + " + ".join(f"value_{n}" for n in range(100))
    (tmp_path / "calc.py").write_text(f"def add(x):\n    y = x\n{line}\n")
    turn = scripted_turn(tmp_path, fim=True)
    start = replace(result(1, 1), tests=(replace(FAILS, frames=(("calc.py", 3),)),))
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    batches = infill(turn, problem, Board(start))
    room = [draft.request.max_tokens for drafts in islice(batches, 2) for draft in drafts]
    assert room[0] > turn.services.model.count(line) > SEARCH.infill_tokens
    assert room[-1] == SEARCH.infill_tokens


def test_a_statement_of_several_lines_is_told_whole(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text(f"def add(x):\n{LINES}    return x\n")
    turn = scripted_turn(tmp_path, fim=True)
    fails = replace(FAILS, message="x = made([\nValueError: no", statement="x = made([ 1, ])")
    start = replace(result(1, 1), tests=(fails,))
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    (draft, *_), *_ = islice(infill(turn, problem, Board(start)), 1)
    assert "# Must hold: x = made([ 1, ]), not ValueError: no\n" in repr(draft.request).replace(
        "\\n", "\n"
    )


BLOCK = "def run(x):\n    begin()\n    try:\n        yield\n    finally:\n        end(True)\n"


@pytest.mark.parametrize(
    ("request_text", "is_shown"),
    [("Let run yield after it begins", True), ("A test fails. Find the cause.", False)],
)
def test_a_request_about_the_file_stands_above_the_function(
    tmp_path: Path, request_text: str, is_shown: bool
) -> None:
    (tmp_path / "calc.py").write_text(BLOCK)
    turn = scripted_turn(tmp_path, request_text, fim=True)
    start = result(1, 1)
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    (draft, *_), *_ = islice(infill(turn, problem, Board(start)), 1)
    assert (f"# {request_text}\\n" in repr(draft.request)) is is_shown


def test_lines_that_follow_anyway_are_left_out_of_a_reply(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text(BLOCK)
    turn = scripted_turn(tmp_path, fim=True)
    start = replace(result(1, 1), tests=(replace(FAILS, frames=(("calc.py", 2),)),))
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    (draft, *_), *_ = islice(infill(turn, problem, Board(start)), 1)
    texts = draft.build("before = state()\n    begin()\n    try:\n        yield")
    assert texts[0] == BLOCK.replace("    begin()", "    before = state()\n    begin()")
