"""Slash commands of other programs: each is a command here, or one true sentence."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import pytest

from localagent.core.errors import UsageError
from localagent.ui.chat.aliases import ALIASES, SENTENCES, WORDS
from localagent.ui.chat.chat import LiveChat
from localagent.ui.chat.commands import COMMANDS

NAMES = {command.name for command in COMMANDS}
CHAT = cast(
    LiveChat,
    SimpleNamespace(_user_commands=list, _prompts=SimpleNamespace(found={}, unusable={})),
)
# Row by row: the habits that a newcomer brought (UX review), but for those that are commands here.
HABITS = (
    *("exit", "new", "cost", "usage", "tokens", "status", "add", "drop", "ls", "run", "test"),
    *("ask", "code", "architect", "map", "doctor", "settings", "vim", "hooks", "skills", "agents"),
    *("mcp", "memory", "rewind", "share", "approvals", "login", "bug", "quit", "version", "edit"),
    *("load", "save", "lint", "chat-mode", "ok", "map-refresh", "multiline-mode", "copy-context"),
    *("weak-model", "think-tokens", "report", "read-only", "reset", "web", "voice", "paste"),
)


@pytest.mark.parametrize("name", HABITS)
def test_a_habit_is_a_command_or_a_sentence(name: str) -> None:
    try:
        command = LiveChat.command(CHAT, name)
    except UsageError as error:
        assert error.message == f"localagent has no command /{name}"
        assert error.hint == SENTENCES[name]
    else:
        assert command.name == ALIASES.get(name, name)


def test_every_alias_names_a_command_and_hides_none() -> None:
    assert set(ALIASES.values()) <= NAMES
    assert not NAMES & (ALIASES.keys() | SENTENCES.keys())
    assert not ALIASES.keys() & SENTENCES.keys()
    assert {line.removeprefix("/") for line in WORDS.values()} <= NAMES


def test_every_command_in_a_sentence_exists() -> None:
    words = [word for text in SENTENCES.values() for word in re.findall(r"(?<!\w)/(\w+)", text)]
    assert words
    assert not set(words) - NAMES


def test_a_typing_mistake_still_gets_the_nearest_commands() -> None:
    with pytest.raises(UsageError, match="unknown command /helf") as raised:
        LiveChat.command(CHAT, "helf")
    assert "did you mean /help" in raised.value.hint
