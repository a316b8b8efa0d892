"""A turn that carries out a command of the user's and asks no model."""

from __future__ import annotations

from collections.abc import Generator

from localagent.agent.planners.base import Result, Unshortened
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.core.events import Event, MessageAdded
from localagent.core.messages import ToolCall


class UserCommand(Unshortened):
    """Runs the turn's prompt as the shell tool would; where `share`, the output joins the
    conversation."""

    name = "command"

    def __init__(self, share: bool) -> None:
        self._share = share

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out the command."""
        call = ToolCall("shell", {"body": turn.prompt})
        result = yield from dispatch.act(turn, call, entered=True)
        turn.ensure_within_limits()
        if self._share:
            text = turn.services.prompts.render(
                "react/command", command=turn.prompt, result=result.for_model
            )
            yield MessageAdded("user", text)
        return Result("answered", result.for_model.partition("\n")[0])
