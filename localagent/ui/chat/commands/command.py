"""A slash command, and the user's commands as slash commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.project.prompt_commands import PromptCommand
from localagent.ui.chat.interface import CommandInfo, Completion, Item

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

    Run = Callable[[LiveChat, str], Iterator[Item]]
    """Runs a command with the text after its name; raises LocalAgentError."""

    Complete = Callable[[LiveChat, str], Sequence[Completion]]


def _no_arguments(_chat: LiveChat, _text: str) -> Sequence[Completion]:
    return []


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command. `arguments` is a pattern such as "[TURN]"; `help` a few words."""

    name: str
    arguments: str
    help: str
    run: Run
    complete: Complete = _no_arguments
    origin: str = "built in"

    @property
    def info(self) -> CommandInfo:
        """The command as front ends list it."""
        return CommandInfo(self.name, self.arguments, self.help, self.origin)


def from_words(*words: str) -> Complete:
    """Complete an argument that is one of a few words."""

    def complete(_chat: LiveChat, text: str) -> Sequence[Completion]:
        return [Completion(word) for word in words if word.startswith(text)]

    return complete


def nothing_after(name: str, text: str) -> None:
    """Raise UsageError for text after a command that takes no argument."""
    if text:
        raise UsageError(f"/{name} takes no argument, but got {text!r}")


def user_command(command: PromptCommand) -> SlashCommand:
    """A command of the user or project: its text becomes a task, in the command's mode."""

    def run(chat: LiveChat, text: str) -> Iterator[Item]:
        task, before = command.task(text), chat.mode
        mode = command.mode_from(before)
        chat.set_mode(mode)
        chat.session.task_files.append((command.path, command.sha256))
        try:
            yield from chat.ask(task)
        finally:
            if chat.mode == mode:  # the user may have changed the mode meanwhile
                chat.set_mode(before)

    return SlashCommand(
        command.name, command.arguments, command.description, run, origin=command.path
    )
