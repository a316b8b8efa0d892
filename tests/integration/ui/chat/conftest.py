"""Chats over real sessions: the real sandbox, journal and index; only the replies are scripted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.ui.chat.chat import LiveChat, open_chat
from tests.doubles.opening import command_line, opening
from tests.doubles.talk import Talk


@pytest.fixture
def talk(workspace_dir: Path) -> Iterator[Callable[..., Talk]]:
    """`talk(reply, …, **options)` opens a chat, by default of the react planner; it is closed
    after the test."""
    opened: list[LiveChat] = []

    def start(
        *replies: str | ScriptedReply,
        profile: Profile | None = None,
        folder: Path | None = None,
        **options,
    ) -> Talk:
        model = ScriptedModel(
            list(replies), ModelInfo("scripted", "scripted", "", profile or Profile())
        )
        given = opening(folder or workspace_dir, **{"planner": "react", **options})
        opened.append(open_chat(*given, model, command_line=command_line()))
        return Talk(opened[-1], model)

    yield start
    for one in opened:
        one.close()
