"""The search: the order of strategies, what it refuses, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Candidate, Draft, Strategy
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies import Schedule
from localagent.agent.turn import Turn
from localagent.core.errors import LimitReached
from localagent.core.events import CandidateProposed, CandidateRejected, CheckFinished, Event
from localagent.core.messages import Message
from localagent.models.base import Request
from localagent.sandbox.base import CommandResult
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_check
from tests.doubles.scripted_turn import offer, run_events, scripted_turn

WRONG = "def add(a, b):\n    return a - b\n"
RIGHT = "def add(a, b):\n    return a + b\n"
CASES = {"test_small": ("add(0, 0)", 0), "test_add": ("add(2, 30)", 32)}


def turn_with(folder: Path, replies: Sequence[str] = (), **request: object) -> Turn:
    (folder / "calc.py").write_text(WRONG)
    sandbox = ScriptedSandbox(python_check("calc.py", CASES))
    return scripted_turn(folder, replies=replies, sandbox=sandbox, request=request)


def problem_of(turn: Turn, neighbors: tuple[str, ...] = ()) -> Problem:
    _, start = run_events(run_check(turn, "pytest"))
    return Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", neighbors)


def question(*prompts: str) -> Strategy:
    """A strategy that asks these questions side by side; each reply is the whole file."""

    def strategy(_turn: Turn, _problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
        yield [
            Draft(
                "file", Request((Message("user", prompt),), max_tokens=100), lambda reply: [reply]
            )
            for prompt in prompts
        ]

    return strategy


def run(
    turn: Turn, schedule: Schedule, problem: Problem | None = None, seconds: float = 20
) -> tuple[list[Event], Candidate | None, Board]:
    problem = problem or problem_of(turn)
    board = Board(problem.start)
    events, passed = run_events(search(turn, problem, board, schedule, seconds))
    return events, passed, board


def other(n: int) -> str:
    return f"def add(a, b):\n    return a - b - {n}\n"


def test_a_reply_that_passes_ends_the_search(tmp_path: Path) -> None:
    turn = turn_with(tmp_path, [other(1), RIGHT, other(2)])
    events, passed, board = run(turn, Schedule([question("one", "two", "three")]))
    assert passed is not None
    assert (passed.text, passed.number) == (RIGHT, 2)
    assert [c.text for c in board.tried] == [other(1), RIGHT]
    assert [e.paths for e in events if isinstance(e, CandidateProposed)] == [["calc.py"]] * 2
    assert (tmp_path / "calc.py").read_text() == WRONG, "the search does not touch the workspace"


def test_the_search_ends_when_replies_are_nothing_new(tmp_path: Path) -> None:
    turn = turn_with(tmp_path, [other(1)] * 40)

    def forever(_turn: Turn, _problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
        while True:
            yield from question("one")(_turn, _problem, _board)

    events, passed, board = run(turn, Schedule([], anew=[forever]))
    assert passed is None and len(board.tried) == 1
    rejected = [event for event in events if isinstance(event, CandidateRejected)]
    assert len(rejected) == 2, "a round for each strategy that writes anew, and one more"


def test_repairs_and_new_texts_alternate(tmp_path: Path) -> None:
    schedule = Schedule(
        [offer("first", other(1), other(2))],
        repairs=[offer("repair", other(3), other(4), other(5))],
        anew=[offer("new", other(6), other(7)), offer("newer", other(8))],
    )
    _, passed, board = run(turn_with(tmp_path), schedule)
    assert passed is None
    names = [c.strategy for c in board.tried]
    assert names[:2] == ["first", "first"]
    assert names[2:] == ["repair", "new", "repair", "newer", "repair", "new"]


@pytest.mark.parametrize(("passing", "order"), [(0, ["new", "repair"]), (1, ["repair", "new"])])
def test_what_is_written_anew_may_come_first_until_most_tests_pass(
    passing: int, order: list[str], tmp_path: Path
) -> None:
    (tmp_path / "calc.py").write_text(WRONG)
    cases = dict(list(CASES.items())[1 - passing :])
    turn = scripted_turn(tmp_path, sandbox=ScriptedSandbox(python_check("calc.py", cases)))
    schedule = Schedule([], [offer("repair", other(1))], [offer("new", other(2))], anew_first=True)
    _, _, board = run(turn, schedule)
    assert [c.strategy for c in board.tried] == order


def test_a_repair_that_improves_keeps_its_slot(tmp_path: Path) -> None:
    cases = {f"test_{n}": (f"add({n}, 1)", n + 1) for n in range(1, 4)}
    (tmp_path / "calc.py").write_text(WRONG)
    turn = scripted_turn(tmp_path, sandbox=ScriptedSandbox(python_check("calc.py", cases)))
    better = [f"def add(a, b):\n    return {{1: 2, 2: {two}}}.get(a)\n" for two in (0, 3)]
    schedule = Schedule(
        [], [offer("repair", *better, other(1))], [offer("new", other(2), other(3))]
    )
    _, _, board = run(turn, schedule)
    assert [c.strategy for c in board.tried][:4] == ["repair", "repair", "repair", "new"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def add(a, b:\n", "line 1"),
        (WRONG, "the edit changes nothing"),
        (other(1) + "\n\n", "it was tried before"),
        (
            'def add(a, b):\n    if a == 2000:\n        return "five thousand"\n'
            '    if a == 3000:\n        return "six thousand"\n    return 0\n',
            "it hard-codes answers to the tests' inputs",
        ),
    ],
)
def test_texts_that_are_not_worth_a_check(tmp_path: Path, text: str, reason: str) -> None:
    turn = turn_with(tmp_path)
    (tmp_path / "calc_test.py").write_text(
        'from calc import add\nassert add(2000, 0) == "five thousand"\n'
        'assert add(3000, 0) == "six thousand"\n'
    )
    problem = problem_of(turn, ("calc_test.py",))
    events, _, board = run(turn, Schedule([offer("x", other(1), text)]), problem)
    (rejected,) = [e for e in events if isinstance(e, CandidateRejected)]
    assert reason in rejected.reason
    assert len(board.tried) == 1


def test_a_step_of_a_plan_has_to_be_done(tmp_path: Path) -> None:
    turn = turn_with(tmp_path)
    turn.request = type(turn.request)(1, "In calc.py: add the function `double`", kind="step")
    done = RIGHT + "\n\ndef double(a):\n    return 2 * a\n"
    events, passed, _ = run(turn, Schedule([offer("x", RIGHT, done)]))
    (rejected,) = [e for e in events if isinstance(e, CandidateRejected)]
    assert rejected.reason == "the plan names double, but calc.py has no double"
    assert passed is not None
    assert passed.text == done


def test_without_a_check_the_first_that_parses_is_taken(tmp_path: Path) -> None:
    turn = turn_with(tmp_path)
    problem = Problem("calc.py", open_file(turn, "calc.py"), None, "", ())
    _, passed, _ = run(turn, Schedule([offer("x", "def (", other(1), RIGHT)]), problem)
    assert passed is not None
    assert passed.text == other(1)


def test_time_ends_the_search(tmp_path: Path) -> None:
    schedule = Schedule([offer("x", other(1), other(2))], [offer("y", other(3))])
    _, passed, board = run(turn_with(tmp_path), schedule, seconds=0)
    assert passed is None
    assert [c.text for c in board.tried] == [other(1)]


def test_a_check_that_never_ends_is_reported(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text(WRONG)
    hangs = ScriptedSandbox(lambda _line, _files: CommandResult(-9, "", 99.0, timed_out=True))
    turn = scripted_turn(tmp_path, sandbox=hangs)
    problem = problem_of(turn)
    drafts = offer("x", *map(other, range(9)))
    with pytest.raises(LimitReached, match="the check did not end in time"):
        run(turn, Schedule([drafts]), problem)
    assert len(hangs.commands) == 1 + SEARCH.timeouts


def test_a_lean_check_is_confirmed_as_the_user_would_do_it(tmp_path: Path) -> None:
    turn = turn_with(tmp_path)
    problem = problem_of(turn)
    lean = Problem("calc.py", problem.old, problem.start, "pytest", (), lean=True)
    sandbox = turn.services.sandbox
    assert isinstance(sandbox, ScriptedSandbox)
    events, passed, _ = run(turn, Schedule([offer("x", other(1), RIGHT)]), lean)
    assert passed is not None
    without = ["PYTEST_DISABLE_PLUGIN_AUTOLOAD" in env for env in sandbox.environments]
    assert without == [False, True, True, False]
    assert [e.ok for e in events if isinstance(e, CheckFinished)] == [False, True]


def test_a_candidate_gets_more_time_than_the_first_check_took(tmp_path: Path) -> None:
    slow = CheckResult("pytest", False, 1, False, 20.0, "", (), 0, 1)
    turn = turn_with(tmp_path)
    limits: list[float] = []
    answer = turn.services.sandbox.answer  # type: ignore[attr-defined]
    turn.services.sandbox.answer = lambda command, files: (  # type: ignore[attr-defined]
        limits.append(command.seconds),
        answer(command, files),
    )[1]
    problem = Problem("calc.py", open_file(turn, "calc.py"), slow, "pytest", ())
    run(turn, Schedule([offer("x", RIGHT)]), problem)
    assert limits == [SEARCH.check_slowdown * 20.0]
