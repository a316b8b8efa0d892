"""Whole sessions: the real composition root, sandbox, checks and journal; only replies scripted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.app import open_session
from localagent.events import Event, Question
from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import Reply, ScriptedModel
from localagent.session import RunOptions, Session

CHECK = "python -m pytest -q"


@pytest.fixture(autouse=True)
def same_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks run with the interpreter that runs the tests, as it has pytest."""
    import os

    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


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


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """`start(folder, replies, **options)` opens a session; it is closed after the test."""
    opened: list[Session] = []

    def start(
        folder: Path,
        replies: list[str | Reply],
        *,
        profile: Profile | None = None,
        **options: object,
    ) -> Run:
        info = ModelInfo("scripted", "scripted", "", profile or Profile())
        model = ScriptedModel(replies, info)
        settings = replace(RunOptions(folder, check=CHECK, yes=True), **options)
        session = open_session(settings, model)
        opened.append(session)
        return Run(session, model)

    yield start
    for session in opened:
        session.close()
