"""Common slips mended without asking the model: what a test tells of (`mend`), and then an
operator, a bound, an index, a variable (`mutate`).

On a small machine a question takes seconds to minutes and a check a second at most. Where a file
mostly works, what is wrong is often one sign, so the small changes of the most suspicious lines are
tried before anything is asked for anew; what gets better is built upon.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from localagent.agent.checks.failure_messages import Edit, text_edits
from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.localize import best_text, most_pass, suspicious_lines
from localagent.agent.repair.mutations import guided_mutations, mutations
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.base import Draft
from localagent.agent.turn import Turn

COMPLEMENTS = 2
LINES = 8
A_LINE = 8
"""Changes of one line that are tried, at most, of so many lines."""
TOLD_LINES = 24
MENDED = 4
"""Texts that are mended in one turn."""
EDITS = 8
"""Differences of texts, of those that most failing tests tell of, that are tried in the code."""
SECONDS = 20.0
"""What the checks of one text's changes may take together, by what its own check took."""
MIN_CHECK_SECONDS = 0.5
_LOOKUP = re.compile(r"^(?:Key|Index)Error\b", re.M)


def mend(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Change what failing tests tell of, one thing at a time: a part of a text that differs, a
    lookup that fails. What is nearer, and loses no test, is built upon. The best text comes first,
    then others of which as many tests pass as of half of the best: not the one that passes most is
    always the one that is easiest to mend."""
    tried: set[str] = set()
    while problem.path.endswith(".py"):
        for text, result in list(_to_mend(problem, board, tried))[:MENDED]:
            yield from _climb(problem, board, text, result, tried)
        yield []
    yield []


def _to_mend(problem: Problem, board: Board, tried: set[str]) -> Iterator[tuple[str, CheckResult]]:
    best, result = best_text(problem, board)
    enough = (result.passed or 0) / 2 if result is not None else 0
    ranked = sorted(board.tried, key=lambda c: c.result.score if c.result else (), reverse=True)
    others = [(c.text, c.result) for c in ranked if c.strategy not in ("mend", "mutate")]
    for text, found in ((best, result), *others):
        mends = found is not None and found.failing and (found.passed or 0) >= enough
        if found is not None and mends and text not in tried:
            yield text, found


def _climb(
    problem: Problem, board: Board, text: str, result: CheckResult, tried: set[str]
) -> Iterator[Sequence[Draft]]:
    while text not in tried:
        tried.add(text)
        end = time.monotonic() + SECONDS  # a change may make the check take until its limit
        for new in _told(problem, text, result):
            yield [Draft("mend", None, _giving(new), leads_on=True)]
            made = _result_of(board, new)
            if made and _nearer(problem.path, made, result):
                text, result = new, made
                break
            if time.monotonic() > end:
                return


def mutate(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Change one thing at a time in the best text, and then in those that pass what it fails, where
    most tests pass; again when there are better ones."""
    tried: set[str] = set()
    while problem.path.endswith(".py"):
        text, result = next(_promising(problem, board, tried), ("", None))
        if result is None:
            yield []
            continue
        tried.add(text)
        for new in _changed(problem, text, result):
            yield [Draft("mutate", None, _giving(new), leads_on=True)]
            made = _result_of(board, new)
            if made and made.counts > result.counts:
                break
    yield []


def _result_of(board: Board, text: str) -> CheckResult | None:
    """The result of the candidate that was just tried, if it is this text's."""
    last = board.tried[-1] if board.tried else None
    return last.result if last is not None and last.text == text else None


def _nearer(path: str, made: CheckResult, before: CheckResult) -> bool:
    """Whether a change led on: no test was lost, and more pass, or are nearer, or a lookup that
    failed no longer does, which hid another one."""
    if made.timed_out or not made.passing >= before.passing or made.score < before.score:
        return False
    failed, fails = _failing_lookups(path, before), _failing_lookups(path, made)
    return made.score > before.score or not failed <= fails


def _promising(
    problem: Problem, board: Board, tried: set[str]
) -> Iterator[tuple[str, CheckResult]]:
    others = [(c.text, c.result) for c in board.complements()[:COMPLEMENTS]]
    for text, result in (best_text(problem, board), *others):
        if text not in tried and result is not None and _mostly_works(result):
            yield text, result


def _mostly_works(result: CheckResult) -> bool:
    """Whether a small change may be all that is wanted. Tests that pass by chance are many where
    nothing works yet."""
    if result.ok or result.timed_out or not result.failing:
        return False
    return most_pass(result)


def _told(problem: Problem, text: str, result: CheckResult) -> list[str]:
    """The changes that failing tests tell of."""
    lines = suspicious_lines(problem, text.splitlines(), result)[:TOLD_LINES]
    failing = _failing_lookups(problem.path, result)
    return guided_mutations(text, lines, _edits(result), failing)[: _most(result)]


def _changed(problem: Problem, text: str, result: CheckResult) -> list[str]:
    """The texts to try. One change of each line comes before the second of any."""
    lines = suspicious_lines(problem, text.splitlines(), result)[:LINES]
    failing, edits = _failing_lookups(problem.path, result), _edits(result)
    of_lines = [
        mutations(text, line, edits, lookup_fails=line in failing)[:A_LINE] for line in lines
    ]
    rounds = range(max(map(len, of_lines), default=0))
    ordered = [of_line[n] for n in rounds for of_line in of_lines if n < len(of_line)]
    return ordered[: _most(result)]


def _most(result: CheckResult) -> int:
    """How many changes of a text there is time to check."""
    return int(SECONDS / max(result.seconds, MIN_CHECK_SECONDS))


def _edits(result: CheckResult) -> list[Edit]:
    """The differences of texts that failing tests tell of, those first that most tell of."""
    found = Counter(edit for test in result.failing for edit in text_edits(test.message))
    return [edit for edit, _ in found.most_common(EDITS)]


def _failing_lookups(path: str, result: CheckResult) -> set[int]:
    """The lines of a file on which a key or an index was looked up that is not there."""
    tests = [test for test in result.failing if _LOOKUP.search(test.message) and test.frames]
    return {line for test in tests for at, line in test.frames[-1:] if at == path}


def _giving(text: str) -> Callable[[str], list[str]]:
    return lambda _: [text]
