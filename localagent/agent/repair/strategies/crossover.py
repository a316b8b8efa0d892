"""The best of several candidates: one's functions in place of another's, without asking the model.

Where one candidate fails a test that another passes, the code that the other ran for it is right,
at least for that test. So its functions are put in place of the best candidate's, one at a time,
those first that ran most of such tests; what gets better is built upon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.base import Draft
from localagent.agent.turn import Turn
from localagent.core.errors import EditError
from localagent.edits.python_definitions import PythonDefinition, definitions, replace_function

MOST = 8
"""Mixtures of one best candidate that are tried: each costs a check, and no question."""


def mix(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Put other candidates' functions into the best one, as long as that makes it better; again
    when there are others."""
    if not problem.path.endswith(".py"):
        return
    while True:
        best, score = board.best, board.best_score
        if best is None or best.result is None or best.result.ok:
            yield []
            continue
        for donor, name in _transplants(problem, best, board.tried)[:MOST]:
            yield [Draft("mix", None, _replacing(best.text, donor.text, name), leads_on=True)]
            if board.best_score > score:
                break
        else:
            yield []


def _transplants(
    problem: Problem, best: Candidate, tried: Sequence[Candidate]
) -> list[tuple[Candidate, str]]:
    """Which function of which candidate could help, the likeliest first."""
    assert best.result is not None
    failing = {test.id for test in best.result.failing}
    there = {found.name for found in _functions(best.text)}
    scores: list[tuple[int, Candidate, str]] = []
    for donor in tried:
        if donor is best or donor.result is None or donor.path != best.path:
            continue
        better = _lines_of_passed(problem.path, donor.result, failing)
        for found in _functions(donor.text):
            ran = sum(any(found.start < n <= found.end for n in lines) for lines in better)
            if ran and found.name in there:
                scores.append((ran, donor, found.name))
    scores.sort(key=lambda score: -score[0])
    return [(donor, name) for _, donor, name in scores]


def _lines_of_passed(path: str, result: CheckResult, wanted: set[str]) -> list[frozenset[int]]:
    """The lines that each of the wanted tests that passed ran, one set a test."""
    passed = [t for t in result.tests if t.outcome == "passed" and t.id in wanted]
    return [test.lines.get(path, frozenset()) for test in passed]


def _functions(text: str) -> list[PythonDefinition]:
    """The functions and methods of a text, without those inside others; none where it does not
    parse."""
    try:
        found = definitions(text)
    except EditError:
        return []
    names = {one.name for one in found if not one.is_class}
    return [one for one in found if not one.is_class and one.name.rpartition(".")[0] not in names]


def _replacing(text: str, donor: str, name: str) -> Callable[[str], list[str]]:
    return lambda _: [replace_function(text, name, donor)]
