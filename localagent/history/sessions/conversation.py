"""The conversation of a session, built from its events."""

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
from localagent.core.messages import Message, Part, PromptRecord, Role


@dataclass(frozen=True, slots=True)
class TurnStart:
    """The start of a turn. `at` is the number of messages in the conversation before the turn."""

    turn: int
    prompt: str
    kind: TurnKind
    at: int


@dataclass
class ConversationLog:
    """The messages so far, and the start of each turn.

    Rewound turns are left out. A replacement of the conversation clears `turns`, so the user cannot
    rewind to an earlier turn.
    """

    messages: list[Message] = field(default_factory=list)
    turns: list[TurnStart] = field(default_factory=list)
    # Each plan, with the number of the last turn that had started when the plan was made.
    _plans: list[tuple[int, PlanChanged]] = field(default_factory=list)
    _turn: int = 0

    @property
    def plan(self) -> PlanChanged | None:
        """The present plan."""
        return self._plans[-1][1] if self._plans else None

    @classmethod
    def of(cls, events: Iterable[Event]) -> ConversationLog:
        """The conversation after all of `events`."""
        conversation = cls()
        for event in events:
            conversation.record(event)
        return conversation

    def record(self, event: Event) -> None:
        """Apply one event to the conversation."""
        if isinstance(event, TurnStarted):
            self._turn = event.turn
            self.turns.append(TurnStart(event.turn, event.prompt, event.kind, len(self.messages)))
        elif isinstance(event, MessageAdded):
            role: Role = "tool" if event.tool else event.role
            asked, calls = _question(event.asked), tuple(event.calls)
            self.messages.append(Message(role, event.content, asked, event.thought, calls))
        elif isinstance(event, ConversationReplaced):
            self.messages = [_message(one) for one in event.messages]
            self.turns = []
        elif isinstance(event, PlanChanged):
            self._plans.append((self._turn, event))
        elif isinstance(event, Rewound):
            self._plans = [plan for plan in self._plans if plan[0] < event.turn]
            undone = [turn for turn in self.turns if turn.turn >= event.turn]
            if undone:
                del self.messages[undone[0].at :]
                self.turns = [turn for turn in self.turns if turn.turn < event.turn]


def _message(data: dict[str, str]) -> Message:
    roles: dict[str, Role] = {"system": "system", "assistant": "assistant"}
    return Message(roles.get(data.get("role", ""), "user"), data.get("content", ""))


def _question(data: dict[str, Any]) -> PromptRecord | None:
    """The question in `MessageAdded.asked`; None if the question is missing or invalid."""
    try:
        return PromptRecord(
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
