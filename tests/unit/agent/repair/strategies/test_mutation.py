"""Repair without a model: common slips, and what failing tests suggest."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.checks.runner import run_check
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies import Schedule
from localagent.agent.repair.strategies.crossover import crossover
from localagent.agent.repair.strategies.mutation import guided_mutation, mutate
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_check
from tests.doubles.scripted_turn import offer, run_events, scripted_turn

Cases = dict[str, tuple[str, object]]

SIGN = "def total(items, rate):\n    result = 0\n    for item in items:\n" \
    "        result += item\n    return result - rate\n"  # fmt: skip
TOTAL: Cases = {
    "test_none": ("total([], 0)", 0),
    "test_plain": ("total([1, 2], 0)", 3),
    "test_rate": ("total([1], 2)", 3),
}
GREETING = 'def greet(name):\n    text = "Helo, " + name\n    return text\n'
GREET: Cases = {
    "test_ann": ('greet("Ann")', "Hello, Ann!"),
    "test_bob": ('greet("Bob")', "Hello, Bob!"),
}
LOOKUP = (
    "def count(n):\n    steps = {0: 0}\n    if n == 0:\n        return steps[n]\n"
    "    return 1 + steps[n - 1]\n"
)
COUNT: Cases = {"test_0": ("count(0)", 0), "test_1": ("count(1)", 1), "test_7": ("count(7)", 7)}


def solve(
    folder: Path, text: str, cases: Cases, *strategies: object, board_texts: tuple[str, ...] = ()
) -> tuple[Candidate | None, Board, int]:
    (folder / "calc.py").write_text(text)
    turn = scripted_turn(folder, sandbox=ScriptedSandbox(python_check("calc.py", cases)))
    _, start = run_events(run_check(turn, "pytest", trace=["calc.py"]))
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    board = Board(start)
    offers = [offer("file", *board_texts)] if board_texts else []
    schedule = Schedule([*offers, *strategies])  # type: ignore[list-item]
    _, passed = run_events(search(turn, problem, board, schedule, 20))
    model = turn.services.model
    return passed, board, len(model.requests)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "cases", "strategy", "line"),
    [
        (SIGN, TOTAL, mutate, "    return result + rate"),
        (GREETING, GREET, guided_mutation, '    text = "Hello, " + name'),
        (LOOKUP, COUNT, guided_mutation, "    return 1 + count(n - 1)"),
    ],
    ids=["an operator", "a text", "a lookup"],
)
def test_a_slip_is_repaired_without_a_question(
    tmp_path: Path, text: str, cases: Cases, strategy: object, line: str
) -> None:
    passed, _, questions = solve(tmp_path, text, cases, strategy)
    assert passed is not None
    assert line in passed.text.splitlines()
    assert questions == 0


def test_changes_that_come_nearer_are_the_base_of_the_next(tmp_path: Path) -> None:
    """No single change of the greeting makes a test pass: a letter and a sign are missing."""
    passed, board, _ = solve(tmp_path, GREETING, GREET, guided_mutation)
    assert passed is not None
    first = next(c for c in board.tried if '"Hello, "' in c.text)
    assert first.result is not None
    assert not first.result.passed
    assert '"Hello, "' in passed.text
    assert '"!"' in passed.text


def test_a_text_that_passes_as_many_tests_as_the_best_is_mutated_too(tmp_path: Path) -> None:
    """The best text has a fault that no small change repairs; the other's sign is wrong."""
    best = SIGN.replace("result - rate", "result if not rate else result * 100")
    passed, board, _ = solve(tmp_path, "", TOTAL, mutate, board_texts=(best, SIGN))
    assert passed is not None and "return result + rate" in passed.text
    first, second = (candidate.result for candidate in board.tried[:2])
    assert first is not None and second is not None and first.score == second.score


def test_nothing_is_mutated_where_most_tests_fail(tmp_path: Path) -> None:
    cases: Cases = {f"test_{n}": (f"total([{n}], 1)", 99) for n in range(4)}
    passed, board, _ = solve(tmp_path, SIGN, cases, mutate)
    assert (passed, board.tried) == (None, [])


def test_other_languages_are_not_mutated(tmp_path: Path) -> None:
    problem = Problem("calc.go", None, None, "go test", ())
    turn = scripted_turn(tmp_path)
    for strategy in (mutate, guided_mutation):
        assert list(strategy(turn, problem, Board(None))) == [[]]
    assert list(crossover(turn, problem, Board(None))) == []


def test_right_functions_of_two_candidates_are_joined(tmp_path: Path) -> None:
    up, down = "def up(n):\n    return n {}\n", "def down(n):\n    return n {}\n"
    both: Cases = {"test_up": ("up(1)", 2), "test_down": ("down(1)", 0), "test_0": ("up(-1)", 0)}
    one = f"{up.format('+ 1')}\n\n{down.format('+ 7')}"
    other = f"{up.format('* 7')}\n\n{down.format('- 1')}"
    passed, _, questions = solve(tmp_path, "", both, crossover, board_texts=(one, other))
    assert passed is not None
    assert passed.strategy == "mix"
    assert passed.text.split() == f"{up.format('+ 1')}{down.format('- 1')}".split()
    assert questions == 0
