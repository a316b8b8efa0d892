"""Commands that are about the front end itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.ui.chat.commands.command import Command, nothing_after
from localagent.ui.chat.interface import Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_SIGNS = (
    ("/command", "one of the commands above"),
    ("!command", "run in the sandbox; the model sees the output (not with !!)"),
    ("anything else", "a task or a question for the model"),
)


def _help(chat: LiveChat, text: str) -> Iterator[Item]:
    wanted = text.removeprefix("/")
    found = [chat.command(wanted).info] if wanted else chat.commands()
    rows = [(f"/{c.name} {c.arguments}".rstrip(), c.help) for c in found]
    yield Output("table", rows=tuple(rows if wanted else (*rows, *_SIGNS)))


def _theme(chat: LiveChat, text: str) -> Iterator[Item]:
    yield from chat.request("theme", text)


def _keys(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("keys", text)
    yield from chat.request("keys")


def _quit(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("quit", text)
    yield from chat.request("quit")


HELP = Command("help", "[COMMAND]", "what can be entered", _help)
THEME = Command("theme", "[NAME]", "the colours: which there are, or another one", _theme)
KEYS = Command("keys", "", "the key bindings", _keys)
QUIT = Command("quit", "", "leave; the session can be resumed", _quit)
