"""`/context` with the real model: its sum is what the engine reports, with both planners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.core.events import ModelReplied
from localagent.models.base import ModelInfo, Profile
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.ui.chat.chat import LiveChat, open_chat
from tests.doubles.opening import command_line, opening

pytestmark = pytest.mark.real_model


@pytest.fixture
def model(model_path: Path, tmp_path: Path) -> Iterator[LlamaCpp]:
    """A real model with a KV cache of its own."""
    info = ModelInfo("real", "llamacpp", "", Profile(window=4096, fim=True))
    with LlamaCpp(model_path, info, logs=tmp_path, cache=tmp_path / "kv") as opened:
        yield opened


def ahead(chat: LiveChat) -> int:
    """The tokens of the prompt that comes next, as the engine reads it."""
    totals: list[int] = []
    chat.session.warm_up(lambda _done, total: totals.append(total))
    return totals[-1]


QUESTIONS = (
    "What does the HTTP status 404 mean? Answer in one short sentence, without any tool.",
    "And the status 500? Answer in one short sentence, without any tool.",
)


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_the_sum_is_the_engines(model: LlamaCpp, workspace_dir: Path, planner: str) -> None:
    given = opening(workspace_dir, planner=planner, max_tokens=400)
    chat = open_chat(*given, model, command_line=command_line())
    try:
        assert chat.session.window().prompt == ahead(chat)
        for question in QUESTIONS:
            replied = [e for e in chat.submit(question) if isinstance(e, ModelReplied)]
            after = chat.session.window()
            assert dict(after.parts)["what you said"] > 3
            assert after.prompt + after.reply == chat.status().window_used or not after.last
            if after.last:
                assert after.prompt == replied[-1].prompt_tokens
                assert after.reply == replied[-1].completion_tokens
            else:  # the turn ended at its limit, after a tool
                assert after.prompt == ahead(chat)
    finally:
        chat.close()
