"""Repair common slips without a model: edits that failing tests suggest, then all small mutations.

On a small machine, a question to the model takes seconds to minutes, and a check takes a second at
most. If a file mostly works, one wrong character is often the fault. So small changes of the most
suspicious lines come before any question, and an improved text is the base of the next change.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from itertools import islice

from localagent.agent.checks.runner import CheckResult, most_pass
from localagent.agent.limits import FORKS, SEARCH
from localagent.agent.repair.candidates import (
    Base,
    Board,
    Candidate,
    Draft,
    best_text,
)
from localagent.agent.repair.hints import failing_lookups, hints_of
from localagent.agent.repair.localize import suspicious_lines
from localagent.agent.repair.mutations import all_mutations, guided_mutations
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.code.tracebacks import frames

_GUIDED, _MUTATE = "repair", "mutate"


def guided_mutation(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Make the changes that failing tests suggest, one at a time, for wrong texts and failing
    lookups.

    A change stays if the text comes nearer to passing and every passed test still passes. The best
    text comes first, then texts that pass at least half as many tests, because the best text is not
    always the easiest to repair.
    """
    tried: set[str] = set()
    while problem.language.can("mutation"):
        for text, result in list(_repairable(problem, board, tried))[: SEARCH.guided_texts]:
            yield from _climb(problem, board, text, result, tried)
        yield []
    yield []


def mutate(_turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Make one small change at a time in the best text, in its complements, and in its equals.

    Only texts that pass most tests are changed. When a text improves, the strategy starts again.
    Forks try all suspicious lines; without forks there is time for a few.
    """
    tried: set[str] = set()
    begun: list[tuple[Base, Iterator[str]]] = []
    while problem.language.can("mutation"):
        text, result = next(_promising(problem, board, tried), ("", None))
        if result is not None:
            tried.add(text)
            base = Base(text, result)
            if problem.forks is not None and problem.forks.usable:
                begun.append((base, _all_changes(problem, base)))
            elif most_pass(result):
                yield from _one_by_one(problem, board, base)
        elif begun:
            base, changes = begun[-1]
            if (yield from _in_forks(problem, board, base, changes)):
                begun.pop()
        else:
            yield []
    yield []


def _one_by_one(problem: Problem, board: Board, base: Base) -> Iterator[Sequence[Draft]]:
    for new in _few_changes(problem, base):
        yield [Draft.of_text(_MUTATE, new)]
        made = board.result_of(new)
        if made and made.counts > base.result.counts:
            break


def _in_forks(
    problem: Problem, board: Board, base: Base, changes: Iterator[str]
) -> Generator[Sequence[Draft], None, bool]:
    """Try changes until a slot is over, or a text improved; True if none is left."""
    known, end = len(board.tried), time.monotonic() + SEARCH.mutation_seconds
    improved = False
    while group := list(islice(changes, FORKS.batch)):
        yield [Draft.of_text(_MUTATE, new, base) for new in group]
        if not problem.has_forks:
            return True
        now = time.monotonic()
        made = (c.result.counts for c in board.tried[known:] if c.result is not None)
        if not improved and any(counts > base.result.counts for counts in made):
            improved, end = True, min(end, now + SEARCH.mutation_more_seconds)
        if now > end:
            if not improved:
                yield []  # a slot is over
            return False
    return True


def _repairable(
    problem: Problem, board: Board, tried: set[str]
) -> Iterator[tuple[str, CheckResult]]:
    """The best text, then other candidates' texts that pass at least half as many tests."""
    best, best_result = best_text(problem, board)
    enough = (best_result.passed or 0) / 2 if best_result is not None else 0
    written = [c for c in board.ranked() if c.strategy not in (_GUIDED, _MUTATE)]
    for text, result in ((best, best_result), *((c.text, c.result) for c in written)):
        if text in tried or result is None or not result.failing:
            continue
        if (result.passed or 0) >= enough:
            yield text, result


def _climb(
    problem: Problem, board: Board, text: str, result: CheckResult, tried: set[str]
) -> Iterator[Sequence[Draft]]:
    while text not in tried:
        tried.add(text)
        end = time.monotonic() + SEARCH.mutation_seconds  # a change may make the check slower
        lines = suspicious_lines(problem.path, text.splitlines(), result, problem.functions)[
            : SEARCH.guided_lines
        ]
        hints = hints_of(problem.path, result)
        changes = guided_mutations(text, lines, hints)
        # A fork does not tell whether another lookup fails now.
        if problem.has_forks and not hints.failing_lookups and len(changes) >= FORKS.least_changes:
            known = len(board.tried)
            base = Base(text, result)
            yield [Draft.of_text(_GUIDED, new, base, climbs=True) for new in changes]
            text, result = _nearest(problem, board.tried[known:], base)
            continue
        for new in changes[: _most_checks(result)]:
            yield [Draft.of_text(_GUIDED, new)]
            made = board.result_of(new)
            if made and _is_nearer(problem.path, made, result):
                text, result = new, made
                break
            if time.monotonic() > end:
                return


def _nearest(problem: Problem, made: Sequence[Candidate], base: Base) -> tuple[str, CheckResult]:
    """The text of the candidates that is nearest to passing, or the base if none is nearer."""
    results = [(c.text, c.result) for c in made if c.result is not None]
    nearer = [each for each in results if _is_nearer(problem.path, each[1], base.result)]
    return max(nearer, key=lambda each: each[1].score, default=(base.text, base.result))


def _is_nearer(path: str, made: CheckResult, before: CheckResult) -> bool:
    """Whether a change kept all passed tests, and raised the score or fixed a failing lookup.

    A failing lookup may hide another failing lookup, so a fix may leave the score unchanged.
    """
    if made.timed_out or not made.passing >= before.passing or made.score < before.score:
        return False
    failed, fails = failing_lookups(path, before), failing_lookups(path, made)
    return made.score > before.score or not failed <= fails


def _promising(
    problem: Problem, board: Board, tried: set[str]
) -> Iterator[tuple[str, CheckResult]]:
    """The best text, its complements and its equals, if a small change to them may suffice.

    Most tests must pass, because some tests pass by chance even if nothing works yet. In forks, the
    user's text is worth its changes anyway.
    """
    others = [*board.complements()[: SEARCH.complements], *_equals(board)[: SEARCH.equals]]
    for text, result in (best_text(problem, board), *((c.text, c.result) for c in others)):
        if text in tried or result is None or result.ok or result.timed_out:
            continue
        users = text == problem.text and problem.has_forks
        if result.failing and (users or most_pass(result) or _stops_collection(result)):
            yield text, result


def _equals(board: Board) -> list[Candidate]:
    """The other texts of the model that pass as many tests as the best one, the earliest first.

    Each has a fault of its own, and a small change may repair one of them only.
    """
    best = board.best
    most = best.result.counts if best is not None and best.result is not None else None
    written = [c for c in board.tried if c.strategy not in (_GUIDED, _MUTATE) and c is not best]
    return [c for c in written if c.result is not None and c.result.counts == most]


def _stops_collection(result: CheckResult) -> bool:
    """Whether no test could be collected, so that a line that runs at import is at fault."""
    return bool(result.tests) and not any("::" in test.id for test in result.tests)


def _few_changes(problem: Problem, base: Base) -> Iterator[str]:
    """The likeliest changes of the most suspicious lines, as many as there is time to check."""
    lines = suspicious_lines(problem.path, base.text.splitlines(), base.result, problem.functions)
    changes = all_mutations(
        base.text,
        dict.fromkeys(lines[: SEARCH.mutation_lines], 0),
        hints_of(problem.path, base.result),
        SEARCH.mutations_per_line,
    )
    return islice(changes, _most_checks(base.result))


def _all_changes(problem: Problem, base: Base) -> Iterator[str]:
    """All changes of all suspicious lines; the less suspicious a line, the later its turns come."""
    path, result = problem.path, base.result
    lines = suspicious_lines(path, base.text.splitlines(), result, problem.functions)
    if _stops_collection(result):
        raised = {n for at, n in frames(result.output) if at == path or at.endswith(f"/{path}")}
        lines = [line for line in lines if line in raised]
    handicaps = {
        line: int(math.log2(1 + place / SEARCH.lines_at_once)) * SEARCH.mutation_lag
        for place, line in enumerate(lines)
    }
    return all_mutations(base.text, handicaps, hints_of(path, result))


def _most_checks(result: CheckResult) -> int:
    """How many changes of a text can be checked in the available time."""
    seconds = max(result.seconds, SEARCH.mutation_check_seconds)
    return int(SEARCH.mutation_seconds / seconds)
