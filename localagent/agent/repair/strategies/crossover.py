"""Crossover: copy functions of other candidates into the best candidate, without asking a model.

If another candidate passes a test that the best candidate fails, the functions that this test ran
are right, at least for this test. So these functions replace those of the best candidate, one at a
time. Functions that more such tests ran come first. An improved candidate is the base of the next
step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Candidate, Draft
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.core.errors import EditError
from localagent.edits.python_definitions import PythonDefinition, definitions
from localagent.edits.python_edits import replace_function


def crossover(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Copy other candidates' functions into the best candidate while the copies improve it."""
    if not problem.language.can("structural_edit"):
        return
    while True:
        best, score = board.best, board.best_score
        if best is None or best.result is None or best.result.ok:
            yield []
            continue
        for donor, name in _transplants(problem, best, board.tried)[: SEARCH.transplants]:
            yield [Draft("mix", None, _replacing(best.text, donor.text, name), keeps_slot=True)]
            if board.best_score > score:
                break
        else:
            yield []


def _transplants(
    problem: Problem, best: Candidate, tried: Sequence[Candidate]
) -> list[tuple[Candidate, str]]:
    """Pairs of a candidate and its function that could help the best one, likeliest first."""
    assert best.result is not None
    failing = {test.id for test in best.result.failing}
    names = {function.name for function in _functions(best.text)}
    scores: list[tuple[int, Candidate, str]] = []
    for donor in tried:
        if donor is best or donor.result is None or donor.path != best.path:
            continue
        passed = [t for t in donor.result.tests if t.outcome == "passed" and t.id in failing]
        traces = [test.lines.get(problem.path, frozenset()) for test in passed]
        for function in _functions(donor.text):
            ran = sum(any(function.start < n <= function.end for n in trace) for trace in traces)
            if ran and function.name in names:
                scores.append((ran, donor, function.name))
    scores.sort(key=lambda score: -score[0])
    return [(donor, name) for _, donor, name in scores]


def _functions(text: str) -> list[PythonDefinition]:
    """A text's functions and methods, without nested ones; empty if the text does not parse."""
    try:
        found = definitions(text)
    except EditError:
        return []
    names = {one.name for one in found if not one.is_class}
    return [one for one in found if not one.is_class and one.name.rpartition(".")[0] not in names]


def _replacing(text: str, donor: str, name: str) -> Callable[[str], list[str]]:
    return lambda _: [replace_function(text, name, donor)]
