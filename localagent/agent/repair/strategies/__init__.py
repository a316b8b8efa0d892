"""Strategies: ways to propose a change, one module each; and the schedule that orders them.

To add a strategy, touch three files:

1. `strategies/NAME.py`: a generator function `NAME(turn, problem, board)`. It yields lists of
   `Draft`; the search asks those of one list side by side. It resumes after they were judged and
   may look at the board, or yield [] to wait for other strategies' results. A draft without a
   request asks no model (`Draft.of_text`).
2. This file: name the function in `schedule_for`, at its place in the order.
3. `tests/unit/agent/repair/strategies/test_NAME.py`: judge its drafts with `ScriptedModel` and
   `ScriptedSandbox` (in `tests/doubles`), which need no process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Strategy
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.crossover import crossover
from localagent.agent.repair.strategies.function import body, new_function, rewrite
from localagent.agent.repair.strategies.infill import infill, infill_complement, quick_infill
from localagent.agent.repair.strategies.mutation import guided_mutation, mutate
from localagent.agent.repair.strategies.whole_file import (
    file_ideas,
    whole_file,
    whole_file_again,
    whole_file_cases,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The strategies of a search and their order.

    Those in `first` run to their end, one after another. Then each of `repairs`, which improve the
    best candidate, gets a slot; then one of `anew`, which write from scratch; and so on. With
    `anew_first` the one of `anew` comes before the repairs.
    """

    first: Sequence[Strategy]
    repairs: Sequence[Strategy] = ()
    anew: Sequence[Strategy] = ()
    anew_first: bool = False


QUICK = Schedule([quick_infill])
"""A short first search, where several files may be at fault."""


def schedule_for(problem: Problem, *, is_step: bool) -> Schedule:
    """The strategies for a problem; `is_step`: the task is a step of a plan."""
    lines = problem.text.count("\n")
    long = lines > SEARCH.whole_file_lines
    if is_step:  # a repair that only makes the check pass is not what the step asks for
        writes = [rewrite, body] if long else [whole_file, whole_file_again]
        return Schedule([new_function, *writes])
    if not problem.language.can("structural_edit"):
        return Schedule([whole_file, whole_file_again], anew=[whole_file_cases])
    some_pass = problem.start is not None and bool(problem.start.passed)
    if long or (some_pass and lines > SEARCH.repair_lines):
        return Schedule(
            [guided_mutation, quick_infill, mutate, rewrite, body],
            [guided_mutation, infill, mutate, crossover],
            [] if long else [whole_file_again, whole_file_cases],
        )
    return Schedule(
        [whole_file, guided_mutation, quick_infill, mutate],
        [guided_mutation, crossover, infill, mutate, infill_complement],
        [whole_file_again, file_ideas, whole_file_cases],
        anew_first=True,
    )
