"""The last turn of a resumed session, as it is drawn again."""

from __future__ import annotations

from localagent.core.events import (
    Event,
    ModelReading,
    ModelReplied,
    ModelRequested,
    Question,
    TextDelta,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.ui.tui.agent_thread import last_turn

END = TurnFinished(2, "answered", 0, "", "", "", [], 1.0, 9, 0, 3)


def reply(purpose: str, stream: int = 0) -> ModelReplied:
    return ModelReplied(purpose, f"{purpose} {stream}", "stop", 9, 0, 3, 0.1, 0.1, stream)


def test_without_a_turn_there_is_nothing() -> None:
    assert list(last_turn([])) == []


def test_only_the_last_turn_comes_and_only_readable_replies() -> None:
    events: list[Event] = [
        TurnStarted(1, "first"),
        reply("answer"),
        TurnStarted(2, "second"),
        ModelRequested("answer", "the prompt"),
        ModelReading(1, 2, 0),
        TextDelta("answ"),
        Question(1, "shell", "ls", "$ ls", ""),
        reply("infill"),
        reply("act", stream=1),
        reply("answer"),
        END,
    ]
    assert list(last_turn(events)) == [
        TurnStarted(2, "second"),
        ModelRequested("answer", ""),
        TextDelta("answer 0"),
        reply("answer"),
        END,
    ]


def test_a_turn_without_an_end_says_so() -> None:
    events = list(last_turn([TurnStarted(1, "first"), reply("answer")]))
    assert isinstance(events[-1], Warned)
    assert "in the middle" in events[-1].text
