"""Whole sessions: the real composition root, sandbox, checks and journal; only replies scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from localagent.core.events import Event, Question, Step
from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.session.factory import open_session
from localagent.session.session import Session
from tests.doubles.opening import opening

CHECK = "python -m pytest -q"


class Run:
    """A session under test: its events by type, and the scripted model behind it."""

    def __init__(self, session: Session, model: ScriptedModel) -> None:
        self.session = session
        self.model = model
        self.events: list[Event] = []

    def turn(self, prompt: str, answer: Callable[[Question], bool] | None = None) -> list[Event]:
        """Run one turn; `answer` decides questions, without it they stay unanswered."""
        new: list[Event] = []
        for event in self.session.run(prompt):
            new.append(event)
            if isinstance(event, Question) and answer is not None:
                self.session.answer(event.id, answer(event))
        self.events += new
        return new


def ensure_prompts_only_grow(run: Run) -> None:
    """Each prompt that continues a session begins, byte for byte, with the whole one before it, so
    that the model reads nothing twice; but for where room had to be made."""
    prompts = [p for p, r in zip(run.model.prompts, run.model.requests, strict=True) if r.continues]
    breaks = sum(not after.startswith(before) for before, after in pairwise(prompts))
    made_room = sum(isinstance(e, Step) and e.name == "compact" for e in run.events)
    assert breaks == made_room, "a prompt does not go on from the one before it"


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """`start(folder, replies, **options)` opens a session; it is closed after the test."""
    opened: list[Session] = []
    runs: list[Run] = []

    def start(
        folder: Path,
        replies: list[str | ScriptedReply],
        *,
        profile: Profile | None = None,
        **options: object,
    ) -> Run:
        info = ModelInfo("scripted", "scripted", "", profile or Profile())
        model = ScriptedModel(replies, info)
        given = opening(folder, **{"check": CHECK, "yes": True, **options})
        session = open_session(*given, model)
        opened.append(session)
        runs.append(Run(session, model))
        return runs[-1]

    yield start
    for session in opened:
        session.close()
    for run in runs:
        ensure_prompts_only_grow(run)
