"""Strategies: ways to propose a change, one module each; and the schedule that orders them.

To add a strategy, touch three files:

1. `strategies/NAME.py`: a generator function `NAME(turn, problem, board)` that yields lists of
   `Draft`. The search asks the drafts of one list side by side, judges them, and resumes the
   generator. The strategy may then read the board, or yield [] to wait for other strategies'
   results. A draft without a request asks no model (`Draft.of_text`). Many small changes of one
   text belong in one list, with a `base`: forks judge them at 30 to 100 a second.
2. `strategies/__init__.py`: name the function in `schedule_for`, at its place in the order.
3. `tests/unit/agent/repair/strategies/test_NAME.py`: judge its drafts with `ScriptedModel` and
   `ScriptedSandbox` (in `tests/doubles`), which need no process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Strategy
from localagent.agent.repair.missing_names import missing_names
from localagent.agent.repair.problem import Problem, failures
from localagent.agent.repair.strategies.alternatives import alternatives
from localagent.agent.repair.strategies.body import body
from localagent.agent.repair.strategies.crossover import crossover
from localagent.agent.repair.strategies.function import new_function, rewrite
from localagent.agent.repair.strategies.infill import infill, infill_complement, quick_infill
from localagent.agent.repair.strategies.mutation import guided_mutation, mutate
from localagent.agent.repair.strategies.parameter import missing_parameter
from localagent.agent.repair.strategies.passage import passage
from localagent.agent.repair.strategies.whole_file import (
    file_ideas,
    whole_file,
    whole_file_again,
    whole_file_cases,
)
from localagent.code.file_kinds import is_docs


@dataclass(frozen=True, slots=True)
class Schedule:
    """The strategies of a search and their order.

    Strategies in `first` run to their end, one after another. After them, rounds alternate: each of
    `repairs`, which improve the best candidate, gets a slot, then one of `anew`, which write from
    scratch. With `anew_first`, the strategy of `anew` comes before the repairs until most tests
    pass.
    """

    first: Sequence[Strategy]
    repairs: Sequence[Strategy] = ()
    anew: Sequence[Strategy] = ()
    anew_first: bool = False


def quick_schedule(problem: Problem, *, likeliest: bool) -> Schedule:
    """The strategies of a short first search, for several files that may be at fault.

    The `likeliest` file gets infills before small changes of the others: it holds 80 % of faults.
    """
    if not problem.has_forks:
        return Schedule([missing_parameter, quick_infill])
    lacks_names = bool(missing_names(problem.start, [problem.path]))
    infills = [quick_infill] if likeliest and not lacks_names else []
    return Schedule([missing_parameter, mutate, *infills])


def schedule_for(problem: Problem, *, is_step: bool) -> Schedule:
    """The strategies for a problem; `is_step` says that the task is a step of a plan."""
    lines = problem.text.count("\n")
    long = lines > SEARCH.whole_file_lines
    if is_step:  # a step asks for its own change, not for any repair that makes the check pass
        writes = [rewrite, body] if long else [whole_file, whole_file_again]
        return Schedule([new_function, *writes])
    if is_docs(problem.path) and problem.text.strip():
        return Schedule([passage] if long else [passage, whole_file])
    if not problem.language.can("structural_edit"):
        return Schedule([whole_file, whole_file_again], anew=[whole_file_cases])
    if long and not failures(problem.start):  # no test says what is wrong, only the task
        return Schedule([new_function, rewrite])
    if missing_names(problem.start, [problem.path]):  # tests come before the code that they test
        return Schedule(
            [new_function, whole_file, mutate, body],
            [guided_mutation, infill, body, mutate, crossover],
            [] if long else [whole_file_again, whole_file_cases],
        )
    changes = [missing_parameter, guided_mutation, mutate, quick_infill, alternatives]
    if problem.has_forks:  # a small change costs hundredths of a second
        changes = [missing_parameter, mutate, guided_mutation, quick_infill, alternatives]
    some_pass = problem.start is not None and bool(problem.start.passed)
    if long or (some_pass and lines > SEARCH.repair_lines):
        return Schedule(
            [*changes, body],
            [guided_mutation, mutate, infill, body, crossover, rewrite],
            [] if long else [whole_file_again, whole_file_cases],
        )
    return Schedule(
        [whole_file, *(changes if problem.has_forks else [guided_mutation, quick_infill, mutate])],
        [guided_mutation, mutate, crossover, alternatives, infill, body, infill_complement],
        [whole_file_again, file_ideas, whole_file_cases],
        anew_first=True,
    )
