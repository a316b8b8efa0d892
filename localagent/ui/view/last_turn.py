"""The last turn of a session that is resumed, as it is drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from localagent.core.events import (
    Event,
    ModelAsked,
    ModelReading,
    ModelReplied,
    Question,
    TextDelta,
    TurnFinished,
    TurnStarted,
    Warned,
)

# What was said to the user; other replies are code or choices.
_SAID = ("answer", "act", "plan")


def last_turn(events: Sequence[Event]) -> Iterator[Event]:
    """The events of the last turn, as if they came now. A record holds whole replies without the
    pieces in which they came; replies that are code, questions that were answered and the progress
    of reading are left out. That the session was killed in the middle of the turn is told."""
    starts = [number for number, event in enumerate(events) if isinstance(event, TurnStarted)]
    if not starts:
        return
    yield from _again(events[starts[-1] :])
    if not any(isinstance(event, TurnFinished) for event in events[starts[-1] :]):
        yield Warned("the session ended in the middle of this turn")


def _again(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, ModelAsked | ModelReading | TextDelta | Question):
            continue
        if isinstance(event, ModelReplied):
            if event.purpose in _SAID and event.stream == 0:
                yield ModelAsked(event.purpose, "")
                yield TextDelta(event.text)
                yield event
            continue
        yield event
