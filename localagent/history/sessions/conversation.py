"""The conversation of a session, as its events make it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from localagent.core.events import (
    ConversationReplaced,
    Event,
    MessageAdded,
    PlanChanged,
    Rewound,
    TurnKind,
    TurnStarted,
)
from localagent.core.messages import Asked, Message, Part, Role


@dataclass(frozen=True, slots=True)
class TurnStart:
    """A turn that is part of the conversation: what the user asked for or entered, and how
    many messages there were before."""

    turn: int
    prompt: str
    kind: TurnKind
    at: int


@dataclass
class ConversationLog:
    """What was said, and where each turn began. Turns that the user went back over are not in it;
    after the conversation was replaced, none from before can be gone back to."""

    messages: list[Message] = field(default_factory=list)
    turns: list[TurnStart] = field(default_factory=list)
    _plans: list[tuple[int, PlanChanged]] = field(
        default_factory=list
    )  # and in or after which turn
    _turn: int = 0

    @property
    def plan(self) -> PlanChanged | None:
        """The plan as it is now."""
        return self._plans[-1][1] if self._plans else None

    @classmethod
    def of(cls, events: Iterable[Event]) -> ConversationLog:
        """The conversation that recorded events made."""
        talk = cls()
        for event in events:
            talk.record(event)
        return talk

    def record(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, TurnStarted):
            self._turn = event.turn
            self.turns.append(TurnStart(event.turn, event.prompt, event.kind, len(self.messages)))
        elif isinstance(event, MessageAdded):
            self.messages.append(Message(event.role, event.content, _question(event.asked)))
        elif isinstance(event, ConversationReplaced):
            self.messages = [_message(one) for one in event.messages]
            self.turns = []
        elif isinstance(event, PlanChanged):
            self._plans.append((self._turn, event))
        elif isinstance(event, Rewound):
            self._plans = [plan for plan in self._plans if plan[0] < event.turn]
            gone = [turn for turn in self.turns if turn.turn >= event.turn]
            if gone:
                del self.messages[gone[0].at :]
                self.turns = [turn for turn in self.turns if turn.turn < event.turn]


def _message(data: dict[str, str]) -> Message:
    roles: dict[str, Role] = {"system": "system", "assistant": "assistant"}
    return Message(roles.get(data.get("role", ""), "user"), data.get("content", ""))


def _question(data: dict[str, Any]) -> Asked | None:
    """What `MessageAdded.asked` says; None where it says nothing, or what cannot be read."""
    try:
        return Asked(
            str(data["question"]),
            tuple(_part(one) for one in data["parts"]),
            tuple(_message(one) for one in data["before"]),
            bool(data["anew"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _part(data: dict[str, Any]) -> Part:
    lines = tuple((int(first), int(last)) for first, last in data["lines"])
    return Part(str(data["text"]), str(data["path"]), str(data["sha256"]), lines)
