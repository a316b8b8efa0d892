"""The call `repair` of `react`: a model that plans hands a failing test to the search.

The search proposes changes and runs the test on each, as the `workflow` planner does for a task.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator
from dataclasses import replace

from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import LOOP
from localagent.agent.planners.workflow import change
from localagent.agent.repair.localize import paths_in_task
from localagent.agent.turn import Turn
from localagent.core.errors import RefusedError, ToolError, UsageError, WorkspaceError
from localagent.core.events import Event, ToolCalled, ToolReturned
from localagent.core.messages import ToolCall
from localagent.tools.base import REPAIR, RepairArguments, parse


def repair_call(
    turn: Turn, call: ToolCall, start: CheckResult | None
) -> Generator[Event, None, str]:
    """Search for a change that makes a test pass, and apply it; return the result for the model.

    `start` is the check's result before the turn, None without a check.
    """
    number = turn.ledger.next("call")
    yield ToolCalled(number, call.name, call.arguments)
    try:
        ok, text = yield from _search(turn, call, start)
    except (ToolError, RefusedError, UsageError, WorkspaceError) as error:
        ok, text = False, error.message + (f" ({error.hint})" if error.hint else "")
    text = turn.services.redactor.redact(text)
    yield ToolReturned(number, call.name, ok, text, text)
    return turn.services.prompts.render("react/result", tool=call.name, result=text)


def _search(
    turn: Turn, call: ToolCall, start: CheckResult | None
) -> Generator[Event, None, tuple[bool, str]]:
    test = parse(RepairArguments, REPAIR.name, call.arguments).test.strip()
    if start is None:
        raise ToolError("repair needs a check that runs the tests, and there is none")
    check = start.command
    if test and "pytest" in check:
        check = f"{check} {shlex.quote(test)}"
    task = f"Fix the failing test {test}" if test else "Fix the failing tests"
    request = replace(turn.request, prompt=task, typed=task, check=check, conversation=())
    part = replace(turn, request=request)
    named = paths_in_task(task, turn.services.workspace, turn.services.files())
    left = turn.seconds_left()
    seconds = LOOP.repair_seconds if left is None else min(LOOP.repair_seconds, left)
    result = yield from change(part, named, seconds)
    return result.outcome == "solved", result.summary
