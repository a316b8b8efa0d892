"""The `Planner` protocol: how one turn is carried out."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from localagent.agent.turn import Services, Turn
from localagent.core.events import Event, Outcome
from localagent.core.messages import Message


@dataclass(frozen=True, slots=True)
class Result:
    """How a turn ended. `how` names the winning step ("file 1"), `check` the deciding command."""

    outcome: Outcome
    summary: str
    check: str = ""
    how: str = ""


class Planner(Protocol):
    """A way to carry out turns. A planner keeps no state between turns."""

    @property
    def name(self) -> str:
        """Its name for `--planner`."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The known start of the next turn's prompt; the model reads it while the user types."""

    def compact(
        self, services: Services, conversation: Sequence[Message], last: int
    ) -> list[Message] | None:
        """A shorter conversation, or None where nothing can be left out.

        `last` is the position of the last task.
        """

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out `turn`, yielding events. Raises LocalAgentError where it cannot continue."""


class PlannerDefaults:
    """For planners that neither know their next prompt's start nor keep a long conversation."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:  # noqa: ARG002
        """Nothing: the next prompt's start is unknown. See `Planner.opening`."""
        return []

    def compact(
        self,
        services: Services,  # noqa: ARG002
        conversation: Sequence[Message],  # noqa: ARG002
        last: int,  # noqa: ARG002
    ) -> list[Message] | None:
        """None: there is nothing to leave out. See `Planner.compact`."""
        return None
