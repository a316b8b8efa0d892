"""A turn that runs the project's check for the user and asks no model."""

from __future__ import annotations

from collections.abc import Generator

from localagent.agent.checks.baseline import last_line, project_check
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.planners.base import Result, Unshortened
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.core.errors import UsageError
from localagent.core.events import Event, MessageAdded

_LINES, _CHARS = 40, 4000  # of a failing check's output that the model is shown, its end


class UserCheck(Unshortened):
    """Runs the check as the agent would; where `share`, a failing one joins the conversation."""

    name = "check"

    def __init__(self, share: bool) -> None:
        self._share = share

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Run the check. Raises UsageError where there is none or it cannot run, RefusedError where
        a rule denies it."""
        check = project_check(turn)
        if not check:
            raise UsageError(
                "no check was found in this project",
                "localagent --check CMD names one; localagent config set check CMD keeps it",
            )
        allowed = yield from dispatch.permit(turn, "check", "execute", check, check, entered=True)
        if not allowed.allowed:
            raise dispatch.refusal(allowed)
        result = yield from run_check(turn, check)
        if not result.usable:
            raise UsageError(
                f"the check {check!r} cannot run: {last_line(result)}",
                "localagent --check CMD names another one",
            )
        if result.timed_out:
            return Result("unsolved", f"the check did not end within {result.seconds:.0f} s", check)
        if result.ok:
            return Result("answered", "the check passes", check)
        if self._share:
            text = turn.services.prompts.render(
                "react/command", command=check, result=_told(result)
            )
            yield MessageAdded("user", text)
        return Result("unsolved", "the check fails", check)


def _told(result: CheckResult) -> str:
    tail = "\n".join(result.output.splitlines()[-_LINES:])[-_CHARS:]
    return f"exit code {result.exit_code}\n{tail}"
