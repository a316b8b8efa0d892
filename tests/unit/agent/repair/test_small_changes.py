"""Small changes in forks: which of them get a real check, and what the search reports."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.checks.fork_check import ForkVerdict
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.repair.candidates import Base, Board, Candidate, Draft
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies import Schedule
from localagent.agent.repair.strategies.mutation import mutate
from localagent.agent.turn import Turn
from localagent.core.events import CandidatesJudged, CheckFinished, Event, Warned
from localagent.core.messages import Message
from localagent.models.base import Request
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_check
from tests.doubles.scripted_turn import run_events, scripted_turn

WRONG = "def add(a, b):\n    return a - b\n"
CASES = {
    "test_small": ("add(0, 0)", 0),
    "test_one": ("add(7, 0)", 7),
    "test_add": ("add(2, 30)", 32),
    "test_odd": ("add(4, 0)", 5),
}
ADD, ODD, SMALL = (f"cases_test.py::test_{name}" for name in ("add", "odd", "small"))


class FakeForks:
    """Gives the verdicts of a dictionary by the new line; other changes fail as before."""

    def __init__(self, start: CheckResult, verdicts: dict[str, ForkVerdict]) -> None:
        self.judged: set[int] = set()
        self.base = start
        self.seen: list[str] = []
        self.usable = True
        self.most_gained = 0
        self._verdicts = verdicts

    @property
    def running(self) -> FakeForks | None:
        return self if self.usable else None

    def start(
        self, _change: object, base: CheckResult, mode: str | None = None
    ) -> Generator[Event, None, FakeForks | None]:
        yield from ()
        if mode == "fresh":
            verdicts = {line: GAIN for line, v in self._verdicts.items() if not v.judged}
            return FakeForks(base, verdicts)
        return self if self.usable and base is self.base else None

    def give_up(self) -> None:
        self.usable = False

    @property
    def failing(self) -> frozenset[str]:
        return frozenset({ADD, ODD})

    def gain(self, verdict: ForkVerdict) -> float:
        return sum(map(float, verdict.messages.values()))

    def watch(self, tests: Iterable[str]) -> None:
        """Nothing else runs here."""

    def judge(self, _path: str, _before: str, texts: Iterable[str]) -> Iterator[ForkVerdict]:
        for text in texts:
            line = text.splitlines()[1].strip()
            self.seen.append(line)
            yield replace(self._verdicts.get(line, ForkVerdict("", same=True)), text=text)


def run(
    folder: Path,
    verdicts: dict[str, ForkVerdict],
    lines: Sequence[str] = (),
    replies: Sequence[str] = (),
    *,
    climbs: bool = False,
) -> tuple[list[Event], Candidate | None, FakeForks]:
    """Search with a batch of these lines, else with the strategy `mutate`, then with replies."""
    (folder / "calc.py").write_text(WRONG)
    sandbox = ScriptedSandbox(python_check("calc.py", CASES))
    turn = scripted_turn(folder, replies=replies, sandbox=sandbox)
    _, start = run_events(run_check(turn, "pytest"))
    forks = FakeForks(start, verdicts)
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", (), forks=forks)  # type: ignore[arg-type]

    def batch(_turn: Turn, _problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
        texts = [WRONG.replace("return a - b", line) for line in lines]
        base = Base(WRONG, start)
        yield [Draft.of_text("mutate", text, base, climbs=climbs) for text in texts]

    def question(_turn: Turn, _problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
        request = Request((Message("user", "?"),), max_tokens=100)
        yield [Draft("line", request, lambda reply: [reply]) for _ in replies]

    strategies = [batch if lines else mutate, question] if replies or lines else [mutate]
    events, passed = run_events(search(turn, problem, Board(start), Schedule(strategies), 20))
    return events, passed, forks


def checks(events: list[Event]) -> list[CheckFinished]:
    return [event for event in events if isinstance(event, CheckFinished)]


LINES = [f"return a - b - {n}" for n in range(10)]
GAIN = ForkVerdict("", fixed=frozenset({ADD}))


def test_changes_that_fail_as_before_get_no_check(tmp_path: Path) -> None:
    events, passed, forks = run(tmp_path, {}, LINES)
    assert (passed, checks(events), forks.seen) == (None, [], LINES)
    (judged,) = [e for e in events if isinstance(e, CandidatesJudged)]
    assert (judged.count, judged.last, judged.paths) == (10, 10, ["calc.py"])


def test_a_change_that_looks_good_is_checked_and_decides_alone(tmp_path: Path) -> None:
    good = "return a + b + (b == 0 and a == 4)"
    events, passed, forks = run(tmp_path, {good: GAIN}, [*LINES, good, "return 1"])
    assert passed is not None
    assert good in passed.text
    assert [(c.candidate, c.ok) for c in checks(events)] == [(12, True)]
    assert "return 1" not in forks.seen
    assert sum(e.count for e in events if isinstance(e, CandidatesJudged)) == 11


def test_a_refuted_verdict_ends_the_use_of_forks(tmp_path: Path) -> None:
    events, passed, forks = run(tmp_path, {LINES[3]: GAIN}, LINES)
    assert (passed, forks.usable, forks.seen) == (None, False, LINES[:4])
    assert [e.text for e in events if isinstance(e, Warned)] == [
        "small changes are checked one by one: a fork and the check disagreed"
    ]


def test_only_a_larger_partial_gain_is_checked(tmp_path: Path) -> None:
    partial = ForkVerdict("", fixed=frozenset({ODD}))
    verdicts = {
        "return a - b + (b == 0 and a == 4)": partial,
        "return 5": partial,
        "return 6": partial,
    }
    events, _, forks = run(tmp_path, verdicts, [*verdicts, *LINES])
    assert len(checks(events)) == 1
    assert len(forks.seen) == 13


@pytest.mark.parametrize("climbs", [False, True])
def test_the_nearest_change_is_checked_if_the_batch_climbs(climbs: bool, tmp_path: Path) -> None:
    near = {f"return {n}": ForkVerdict("", messages={ADD: str(n / 10)}) for n in (1, 3, 2)}
    events, passed, _ = run(tmp_path, near, [*near, *LINES], climbs=climbs)
    assert passed is None
    assert [c.candidate for c in checks(events)] == ([14] if climbs else [])


def test_what_forks_refuse_is_judged_by_forks_that_import_anew(tmp_path: Path) -> None:
    good = "return a + b + (b == 0 and a == 4)"
    events, passed, _ = run(tmp_path, {good: ForkVerdict("", judged=False)}, [*LINES, good])
    assert passed is not None
    assert len(checks(events)) == 1


def test_mutations_come_in_batches_and_go_on_after_a_better_text(tmp_path: Path) -> None:
    events, _, forks = run(tmp_path, {"return a + b": GAIN})
    assert checks(events)[0].tests_passed == 3
    assert forks.seen.index("return a + b") < len(forks.seen) - 1


@pytest.mark.parametrize("same", [True, False])
def test_a_reply_that_fails_as_before_needs_no_check(tmp_path: Path, same: bool) -> None:
    verdict = ForkVerdict("", same=same)
    reply = WRONG.replace("a - b", "a - b + 0")
    verdicts = {"return a - b + 0": verdict}
    events, _, _ = run(tmp_path, verdicts, LINES, [reply])
    (check,) = checks(events)
    assert (check.tests_passed, bool(check.output)) == (2, not same)
