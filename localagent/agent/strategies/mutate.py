"""Common slips mended without asking the model: an operator, a bound, an index, a variable.

On a small machine a question takes seconds to minutes and a check a second at most. Where a file
mostly works, what is wrong is often one sign, so the small changes of the most suspicious lines are
tried before anything is asked for anew; what gets better is built upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localagent.agent.candidates import Board
from localagent.agent.problem import Problem
from localagent.agent.strategies.base import Draft
from localagent.agent.strategies.places import best_text, most_pass, suspicious_lines
from localagent.agent.turn import Turn
from localagent.agent.verify import CheckResult
from localagent.edits.differences import text_edits
from localagent.edits.mutations import mutations

COMPLEMENTS = 2
LINES = 8
A_LINE = 8
"""Changes of one line that are tried, at most, of so many lines."""
EDITS = 4
"""Differences of texts, of those that failing tests tell of, that are tried in the code's texts."""
SECONDS = 20.0
"""What the checks of one text's changes may take together, by what its own check took."""
MIN_CHECK_SECONDS = 0.5


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
            last = board.tried[-1].result if board.tried and board.tried[-1].text == new else None
            if last is not None and last.score > result.score:
                break
    yield []


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


def _changed(problem: Problem, text: str, result: CheckResult) -> list[str]:
    """The texts to try. One change of each line comes before the second of any."""
    lines = suspicious_lines(problem, text.splitlines(), result)[:LINES]
    edits = [edit for test in result.failing for edit in text_edits(test.message)][:EDITS]
    of_lines = [mutations(text, line, edits)[:A_LINE] for line in lines]
    rounds = range(max(map(len, of_lines), default=0))
    ordered = [of_line[n] for n in rounds for of_line in of_lines if n < len(of_line)]
    return ordered[: int(SECONDS / max(result.seconds, MIN_CHECK_SECONDS))]


def _giving(text: str) -> Callable[[str], list[str]]:
    return lambda _: [text]
