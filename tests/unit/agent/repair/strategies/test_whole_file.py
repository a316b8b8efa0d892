"""Whole files, ideas and functions: what is asked, and what replies become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.strategies import schedule_for
from localagent.agent.repair.strategies.function import new_function, rewrite
from localagent.agent.repair.strategies.mutation import mutate
from localagent.agent.repair.strategies.whole_file import (
    file_ideas,
    list_ideas,
    whole_file,
    whole_file_again,
    whole_file_cases,
)
from localagent.agent.turn import Turn
from localagent.core.changes import file_change
from localagent.models.base import Usage
from tests.doubles.scripted_turn import prompt_of, scripted_turn

CODE = 'def add(a, b):\n    """The sum."""\n    return a - b\n\n\ndef twice(a):\n    return a\n'
FAILS = tuple(
    TestResult(f"calc_test.py::test_{n}", "failed", f"assert add(1, {n}) == {n + 1}")
    for n in range(3)
)
START = CheckResult("pytest", False, 1, False, 0.1, "", FAILS, 0, 3)


def problem_in(folder: Path, **profile: object) -> tuple[Turn, Problem, Board]:
    (folder / "calc.py").write_text(CODE)
    turn = scripted_turn(folder, **profile)
    problem = Problem("calc.py", open_file(turn, "calc.py"), START, "pytest", ())
    return turn, problem, Board(START)


def candidate(text: str) -> Candidate:
    return Candidate(1, "file", "calc.py", text, file_change("calc.py", b""), START)


def test_a_new_file_keeps_the_old_docstrings(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path)
    (draft,) = next(whole_file(turn, problem, board))
    assert draft.request is not None
    assert draft.request.reply_start == "```python\n"
    (text,) = draft.build("def add(a, b):\n    return a + b\n```\nDone!")
    assert text == 'def add(a, b):\n    """The sum."""\n    return a + b\n'


def test_a_reply_that_repeats_itself_is_continued(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path, candidates=2)
    drafts = whole_file(turn, problem, board)
    (draft,) = next(drafts)
    draft.on_cut("def add(a, b):\n    return str(a)" + ".strip()" * 30)
    more = next(drafts)
    starts = [d.request.reply_start.splitlines()[-1].strip() for d in more if d.request]
    assert starts == ["return str(a)", "return str(a).strip()"]


def test_the_file_is_asked_for_in_different_ways(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path, candidates=6)
    board.add(candidate(CODE))
    drafts = [draft for group in whole_file_again(turn, problem, board) for draft in group]
    assert len({repr(draft.request) for draft in drafts}) == len(drafts) == 5
    assert "add(1, 0)" in prompt_of(drafts[0])


def test_each_round_begins_with_another_failing_case(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path)
    board.add(candidate(CODE))
    rounds = list(islice(whole_file_cases(turn, problem, board), 3))
    tails = [prompt_of(group[0]).rpartition("assert add")[0][-400:] for group in rounds]
    assert len(set(tails)) == 3
    seeds = [draft.request.seed for group in rounds for draft in group if draft.request]
    assert len(set(seeds)) == len(seeds)


def test_no_more_files_at_once_than_are_written_in_time(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path, candidates=8)
    assert len(next(whole_file_cases(turn, problem, board))) == 8
    board.add(candidate(CODE))
    tokens = turn.services.model.count(CODE)
    rate = 3 * tokens / SEARCH.file_seconds
    turn.ledger.add(Usage(completion_tokens=round(1000 * rate), decode_seconds=1000.0))
    assert len(next(whole_file_cases(turn, problem, board))) in (2, 3)


def test_a_file_by_each_idea(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path, candidates=2)
    board.add(candidate(CODE))
    drafts = file_ideas(turn, problem, board)
    (question,) = next(drafts)
    assert question.build(" Use the plus operator\n2. Use the function sum\n3. Short\n") == []
    files = next(drafts)
    assert [draft.strategy for draft in files] == ["idea", "idea"]
    assert "Use the plus operator" in prompt_of(files[0])
    assert "Use the function sum" in prompt_of(files[1])


def test_ideas_are_items_of_a_list() -> None:
    text = "1. Use a loop over items\n- Use a loop over items\n2) short\n```\n3. code code code\n"
    assert list_ideas(text) == ["Use a loop over items"]


def test_the_most_suspicious_function_is_rewritten_first(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path)
    ran = replace(FAILS[0], lines={"calc.py": frozenset({7})})
    problem = replace(problem, start=replace(START, tests=(ran,)))
    first = next(rewrite(turn, problem, board))
    assert len(first) == SEARCH.function_samples
    assert "twice" in prompt_of(first[0]).splitlines()[-1]
    (text,) = first[0].build("def twice(a):\n    return 2 * a\n")
    assert text == CODE.replace("    return a\n", "    return 2 * a\n")


def test_a_step_s_new_function_is_added(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path)
    turn.request = replace(turn.request, kind="step", prompt="In calc.py: add a function `half`")
    (draft,) = next(new_function(turn, problem, board))
    assert draft.request is not None
    assert draft.request.reply_start == "```python\ndef half("
    (text,) = draft.build("a):\n    return a / 2\n")
    assert text == CODE + "\n\ndef half(a):\n    return a / 2\n"
    turn.request = replace(turn.request, kind="step", prompt="In calc.py: add a function `twice`")
    assert list(new_function(turn, problem, board)) == [], "it is there already"


def test_a_function_that_failing_tests_miss_is_added(tmp_path: Path) -> None:
    turn, problem, board = problem_in(tmp_path)
    turn.request = replace(turn.request, prompt="make the new tests pass")
    misses = replace(FAILS[0], message="AttributeError: module 'calc' has no attribute 'half'")
    problem = replace(problem, start=replace(START, tests=(misses,)))
    (draft,) = next(new_function(turn, problem, board))
    assert draft.request is not None
    assert draft.request.reply_start == "```python\ndef half("
    assert schedule_for(problem, is_step=False).first[0] is new_function


@pytest.mark.parametrize(
    ("path", "lines", "passed", "is_step", "first"),
    [
        ("calc.py", 5, 0, False, whole_file),
        ("calc.py", 200, 0, False, None),
        ("calc.py", 50, 3, False, None),
        ("calc.py", 5, 3, False, whole_file),
        ("calc.go", 5, 0, False, whole_file),
        ("calc.py", 5, 0, True, new_function),
    ],
)
def test_the_schedule(
    tmp_path: Path, path: str, lines: int, passed: int, is_step: bool, first: Callable | None
) -> None:
    (tmp_path / path).write_text("x = 1\n" * lines)
    turn = scripted_turn(tmp_path)
    problem = Problem(path, open_file(turn, path), replace(START, passed=passed), "check", ())
    schedule = schedule_for(problem, is_step=is_step)
    each: Sequence = (*schedule.first, *schedule.repairs)
    if first is not None:
        assert schedule.first[0] is first
    else:
        assert whole_file not in schedule.first
    assert (mutate in each) == (path == "calc.py" and not is_step)
