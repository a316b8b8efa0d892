"""Run a recorded session again and compare the two runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import TypeGuard

from localagent.core.errors import UsageError
from localagent.core.events import (
    ChangesUndone,
    ConversationReplaced,
    Event,
    MessageAdded,
    ModeChanged,
    ModelSwitched,
    Rewound,
    SessionStarted,
    TurnFinished,
    TurnStarted,
)
from localagent.history.sessions import transcript
from localagent.history.sessions.replay import Difference, ReplayModel, compare, steered
from localagent.models import BACKENDS
from localagent.models.base import ModelInfo, Profile
from localagent.models.catalog import lock as models_lock
from localagent.models.router import MAIN
from localagent.project.project import Project
from localagent.session.factory import RunOptions, open_session
from localagent.session.session import Session


def replay(session: str, project: Project) -> Iterator[Event | Difference]:
    """Run a recorded session again, with the recorded replies and real tools.

    The workspace must be in the same state as before the recorded session. Yields the new events.
    If an observation differs from the recorded one, a Difference comes last.
    """
    recorded = transcript.read(session)
    started = next((e for e in recorded.events if isinstance(e, SessionStarted)), None)
    if started is None:
        raise UsageError(f"session {session} has no events to replay")
    model = ReplayModel(recorded.events, _recorded_info(started.model, started.model_sha256))
    replayed: list[Event] = []
    with open_session(project, RunOptions(yes=True), model) as again:
        for place, event in enumerate(recorded.events):
            if isinstance(event, SessionStarted) or _is_main_switch(event):
                model.become(_recorded_info(event.model, event.model_sha256))
                again.planner = event.planner
            for new in _repeat(again, event, recorded, place):
                replayed.append(new)
                yield new
    difference = compare(recorded.events, replayed)
    if difference is not None:
        yield difference


def _repeat(
    again: Session, event: Event, recorded: transcript.Transcript, place: int
) -> Iterator[Event]:
    """Repeat the user's action that caused the recorded event."""
    if isinstance(event, TurnStarted) and event.kind == "command":
        yield from again.run_command(event.prompt)
    elif isinstance(event, TurnStarted) and event.kind == "check":
        again.check = event.check
        shared = any(isinstance(e, MessageAdded) for e in _of_turn(recorded.events[place + 1 :]))
        yield from again.run_check(event.prompt, share=shared)
    elif isinstance(event, TurnStarted) and event.kind == "plan":
        yield from again.run_plan(event.prompt)
    elif isinstance(event, TurnStarted) and event.kind in ("step", "last-step"):
        again.check = event.check
        yield from again.run_step(event.prompt, last=event.kind == "last-step")
    elif isinstance(event, TurnStarted):
        again.check = event.check
        said = iter(steered(recorded.events[place + 1 :]))
        again.steering = lambda: next(said, [])
        yield from again.run(event.prompt)
    elif isinstance(event, ChangesUndone) and event.session == recorded.session:
        yield from again.undo(f"{again.id}:{event.turn}", again=event.again)
    elif isinstance(event, Rewound):
        yield from again.rewind(event.turn)
    elif isinstance(event, ModeChanged) and event.mode in again.services.gate.possible():
        again.services.gate.set_mode(event.mode)
    elif isinstance(event, ConversationReplaced):
        yield from again.replace_conversation(event.messages)


def _of_turn(events: Iterable[Event]) -> Iterator[Event]:
    """The events of the present turn, up to its end."""
    return takewhile(lambda event: not isinstance(event, TurnFinished), events)


def _is_main_switch(event: Event) -> TypeGuard[ModelSwitched]:
    """Whether the event is a switch of the main model."""
    return isinstance(event, ModelSwitched) and event.role == MAIN


def _recorded_info(model: str, sha256: str) -> ModelInfo:
    """The identity of a recorded model, with its profile if models.lock still has it."""
    entry = next((entry for entry in models_lock.load().entries if entry.id == model), None)
    if entry is None:
        return ModelInfo(model, "replay", sha256, Profile())
    raw_text = BACKENDS[entry.backend].raw_text
    profile, form = entry.profile.profile(), entry.template
    return ModelInfo(model, "replay", sha256, profile, raw_text=raw_text, form=form)
