"""Questions with the real model and the workflow planner: nothing is read twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import ModelReplied
from localagent.models.base import ModelInfo, Profile
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.session.factory import open_session
from localagent.session.session import Session
from tests.doubles.opening import opening

pytestmark = pytest.mark.real_model

BAR = 0.98
"""Of a prompt, what the next one has not to read again."""


@pytest.fixture
def opened(model_path: Path, tmp_path: Path, workspace_dir: Path) -> Callable[..., Session]:
    """`opened(resume=…)` opens a session with a process of its own and the same cache on disk."""

    def open_one(resume: str | None = None) -> Session:
        info = ModelInfo("real", "llamacpp", "", Profile(window=4096))
        model = LlamaCpp(model_path, info, logs=tmp_path, cache=tmp_path / "kv")
        given = opening(workspace_dir, planner="workflow", max_tokens=40, resume=resume)
        return open_session(*given, model)

    return open_one


def replied(session: Session, question: str) -> ModelReplied:
    """The one reply of a turn."""
    (reply,) = [e for e in session.run(question) if isinstance(e, ModelReplied)]
    return reply


def test_a_question_reads_only_what_is_new(opened: Callable[..., Session]) -> None:
    with opened() as session:
        first = replied(session, "What does add in calc.py do? One short sentence.")
        second = replied(session, "And for negative numbers? One short sentence.")
    with opened(resume=session.id) as session:
        session.warm_up()
        third = replied(session, "Which test covers it?")
    assert second.reused_tokens >= BAR * first.prompt_tokens
    assert third.reused_tokens >= BAR * second.prompt_tokens
    assert third.prompt_tokens > second.prompt_tokens > first.prompt_tokens
