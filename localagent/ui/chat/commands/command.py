"""What a command of the chat is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.ui.chat.interface import CommandInfo, Completion, Item

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

    Run = Callable[[LiveChat, str], Iterator[Item]]
    """Carries out a command, given the text after its name; raises LocalAgentError."""

    Complete = Callable[[LiveChat, str], Sequence[Completion]]


def _no_arguments(_chat: LiveChat, _text: str) -> Sequence[Completion]:
    return []


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, a pattern of its arguments, what it does in a few words, and how."""

    name: str
    arguments: str
    help: str
    run: Run
    complete: Complete = _no_arguments
    origin: str = "built in"

    @property
    def info(self) -> CommandInfo:
        """What a front end tells of it."""
        return CommandInfo(self.name, self.arguments, self.help, self.origin)


def from_words(*words: str) -> Complete:
    """Completes an argument that is one of a few words."""

    def complete(_chat: LiveChat, text: str) -> Sequence[Completion]:
        return [Completion(word) for word in words if word.startswith(text)]

    return complete


def nothing_after(name: str, text: str) -> None:
    """Raise UsageError where a command that takes nothing was given something."""
    if text:
        raise UsageError(f"/{name} takes nothing after it, and there is {text!r}")
