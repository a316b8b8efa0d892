"""The `Planner` protocol, whose implementations carry out turns."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from localagent.agent.turn import Services, Turn
from localagent.core.events import Event, Outcome
from localagent.core.messages import Message


@dataclass(frozen=True, slots=True)
class Result:
    """How a turn ended. `how` names the step that succeeded, `check` the deciding command.

    `sources` are the definitions that an answer is about.
    """

    outcome: Outcome
    summary: str
    check: str = ""
    how: str = ""
    sources: tuple[str, ...] = ()


class Planner(Protocol):
    """A way to carry out turns. A planner keeps no state between turns."""

    @property
    def name(self) -> str:
        """The planner's name, which `--planner` takes."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The known start of the next turn's prompt; the model reads it while the user types."""

    def tools(self, services: Services) -> str:
        """The tools that the chat template adds to the prompt, in JSON, or ""."""

    def compact(
        self, services: Services, conversation: Sequence[Message], last: int
    ) -> list[Message] | None:
        """A shorter conversation, or None if nothing can be left out.

        `last` is the position of the last task's message.
        """

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out `turn`, yielding events. Raises LocalAgentError if the turn cannot continue."""


class PlannerDefaults:
    """Defaults for planners without a fixed prompt start and without a long conversation."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:  # noqa: ARG002
        """Return no messages, because the next prompt's start is unknown. See `Planner.opening`."""
        return []

    def tools(self, services: Services) -> str:  # noqa: ARG002
        """Return no tools. See `Planner.tools`."""
        return ""

    def compact(
        self,
        services: Services,  # noqa: ARG002
        conversation: Sequence[Message],  # noqa: ARG002
        last: int,  # noqa: ARG002
    ) -> list[Message] | None:
        """Return None, because nothing can be left out. See `Planner.compact`."""
        return None
