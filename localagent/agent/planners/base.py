"""The `Planner` protocol: how one turn is carried out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol

from localagent.agent.turn import Turn
from localagent.events import Event, Outcome


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

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out `turn`, yielding events; raises LocalAgentError where it cannot go on."""
