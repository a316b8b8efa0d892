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
    """How a turn ended. `how` says what found it ("file 1"), `check` which command judged it."""

    outcome: Outcome
    summary: str
    check: str = ""
    how: str = ""


class Planner(Protocol):
    """A way to carry out turns. A planner keeps nothing between turns."""

    @property
    def name(self) -> str:
        """Its name for `--planner`."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """What the model will be shown first in the next turn, as far as that is known before its
        prompt is: to be read while the user types."""

    def shortened(
        self, services: Services, conversation: Sequence[Message], last: int
    ) -> list[Message] | None:
        """The conversation with less in it, as room is made in it when it no longer fits, or None
        where nothing can be left out. `last` is the place of the last task."""

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out `turn`, yielding events; raises LocalAgentError where it cannot go on."""


class Unshortened:
    """What planners share of which little or nothing is shown to a model again."""

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:  # noqa: ARG002
        """See `Planner.opening`: nothing is known of it before."""
        return []

    def shortened(
        self,
        services: Services,  # noqa: ARG002
        conversation: Sequence[Message],  # noqa: ARG002
        last: int,  # noqa: ARG002
    ) -> list[Message] | None:
        """See `Planner.shortened`: there is nothing that could be left out."""
        return None
