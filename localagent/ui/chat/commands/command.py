"""Defines slash commands, and makes slash commands from the user's own commands."""

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
    """A function that runs a command with the text after its name. Raises LocalAgentError."""

    Complete = Callable[[LiveChat, str], Sequence[Completion]]


def _no_arguments(_chat: LiveChat, _text: str) -> Sequence[Completion]:
    return []


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command. `arguments` is a pattern such as "[TURN]"; `help` describes the command."""

    name: str
    arguments: str
    help: str
    run: Run
    complete: Complete = _no_arguments
    origin: str = "built in"

    @property
    def info(self) -> CommandInfo:
        """Describe the command for the list of a front end."""
        return CommandInfo(self.name, self.arguments, self.help, self.origin)


def from_words(*words: str) -> Complete:
    """Return a function that completes an argument from a few words."""

    def complete(_chat: LiveChat, text: str) -> Sequence[Completion]:
        return [Completion(word) for word in words if word.startswith(text)]

    return complete


def nothing_after(name: str, text: str) -> None:
    """Raise UsageError if text follows a command that takes no argument."""
    if text:
        raise UsageError(f"/{name} takes no argument, but got {text!r}")


def user_command(command: PromptCommand) -> SlashCommand:
    """Make a slash command from a user's or project's command; it runs a task in its own mode."""

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
