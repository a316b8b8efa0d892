"""Completion in the input line: commands after "/", their arguments; files, symbols after "@"."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from localagent.ui.chat.interface import Chat
from localagent.ui.view.sanitize import one_line

_MENTION = re.compile(r"(?:^|(?<=\s))@([^\s@]*)$")
_MOST = 50


class ChatCompleter(Completer):
    """Asks the chat, once there is one."""

    def __init__(self, chat: Callable[[], Chat | None]) -> None:
        self._chat = chat

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """What the word before the cursor can become."""
        chat = self._chat()
        if chat is None:
            return
        before = document.text_before_cursor
        if mention := _MENTION.search(before):
            for found in list(chat.complete("@", mention[1]))[:_MOST]:
                yield _completion(f"@{found.text}", -len(mention[1]) - 1, found.detail)
        elif before.startswith("/") and "\n" not in before:
            name, space, arguments = before[1:].partition(" ")
            if not space:
                yield from _commands(chat, name)
            else:
                for found in list(chat.complete(name, arguments))[:_MOST]:
                    yield _completion(found.text, -len(arguments), found.detail)


def wanted(text: str) -> bool:
    """Whether completions are shown while one types: for commands and mentions only."""
    return (text.startswith("/") and "\n" not in text and "/" not in text[1:]) or bool(
        _MENTION.search(text)
    )


def _commands(chat: Chat, typed: str) -> Iterable[Completion]:
    """Commands that begin with what was typed; where none does, those that hold it."""
    known = chat.commands()
    found = [command for command in known if command.name.startswith(typed)]
    for command in found or [command for command in known if typed in command.name]:
        words = f"{command.arguments}  {command.help}" if command.arguments else command.help
        yield _completion(f"/{command.name}", -len(typed) - 1, words)


def _completion(text: str, start: int, detail: str) -> Completion:
    return Completion(text, start, display=one_line(text, 60), display_meta=one_line(detail, 200))
