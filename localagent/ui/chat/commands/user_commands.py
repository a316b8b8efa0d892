"""Commands of the user and of the project: files whose text becomes a task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.project.prompt_commands import PromptCommand
from localagent.ui.chat.commands.command import Command
from localagent.ui.chat.interface import Item

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat


def own_command(given: PromptCommand) -> Command:
    """The command that carries out `given`, in its mode and then again in the session's."""

    def run(chat: LiveChat, text: str) -> Iterator[Item]:
        task, before = given.task(text), chat.mode
        during = given.mode_from(before)
        chat.set_mode(during)
        chat.session.made_of.append((given.path, given.sha256))
        try:
            yield from chat.ask(task)
        finally:
            if chat.mode == during:  # the user may have gone to another one meanwhile
                chat.set_mode(before)

    return Command(given.name, given.arguments, given.description, run, origin=given.path)
