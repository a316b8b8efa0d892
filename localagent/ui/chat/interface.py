"""The seam between an interactive session and the front end that draws it.

    chat = open_chat(project, options, command_line=…)  # localagent.ui.chat.chat
    chat.warm_up()                                      # while the user types
    for item in chat.submit("fix the failing test"):
        if isinstance(item, Output): …                  # text, Markdown, a table, a diff: draw it
        elif isinstance(item, UIRequest): …             # quit, edit, pick: chat.resolve(…)
        else: …                                         # an event; a Question: chat.answer(…)

`submit` blocks between its items, so a front end pulls them in a thread of its own (the *agent
thread*), one submit at a time. All other methods may be called from any thread, at any moment. The
front end answers a `Question` or a `UIRequest` before it pulls the next item. A missing answer
counts as "no" for a question, and as None for a UI request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from localagent.core.events import MODES, Answer, Event, Mode
from localagent.ui.chat.output import Output

__all__ = ["MODES", "Answer", "Chat", "CommandInfo", "Completion", "Item", "Mode", "PickerChoice"]
__all__ += ["Output", "RewindPreview", "SessionStatus", "UIRequest", "UIRequestKind"]


@dataclass(frozen=True, slots=True)
class PickerChoice:
    """A choice of a picker. `value` is the answer; `text` and `detail` are shown to the user.

    The letter `key`, if any, picks the choice at once.
    """

    value: str
    text: str
    detail: str = ""
    key: str = ""


UIRequestKind = Literal["quit", "clear", "theme", "keys", "edit", "pick", "draft"]


@dataclass(frozen=True, slots=True)
class UIRequest:
    """An action that only a front end can do. The front end answers with `Chat.resolve`.

    - "quit": leave. The front end closes the chat.
    - "clear": clear the screen for a new conversation.
    - "theme": use the theme `text`.
    - "keys": show the key bindings.
    - "edit": open `text` in the user's editor. The answer is the edited text.
    - "pick": let the user pick from `choices` below `title`. The answer is the value; the choice
      number `default` is picked at first.
    - "draft": put `text` into the input line for editing.

    The answer is None if the editor fails or the user presses Esc.
    """

    id: int
    kind: UIRequestKind
    text: str = ""
    title: str = ""
    choices: tuple[PickerChoice, ...] = ()
    default: int = 0


Item = Event | Output | UIRequest

CommandLine = Callable[[Sequence[str], Path, Callable[[], bool]], Sequence[Output]]
"""Runs the words of a command line in a folder; stops if the last argument returns True."""


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A slash command; `arguments` is a pattern such as "[TURN]", `origin` its file or ""."""

    name: str
    arguments: str
    help: str
    origin: str = "built in"


@dataclass(frozen=True, slots=True)
class Completion:
    """A completion: `text` replaces the argument that the user types."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """The content of a status line; cheap to compute. Windows are in tokens."""

    model: str
    where: str
    """Where the model runs: "cpu", "gpu", "ollama", …"""
    planner: str
    mode: Mode
    window_used: int
    """Tokens of the last request and its reply."""
    window: int
    tokens_per_second: float
    """Tokens per second of the current or last reply; 0.0 before the first reply."""
    reused: int
    """Tokens of `window_used` that came from the cache, so the model did not read them again."""
    sandbox: str
    confined: bool
    branch: str
    check: str
    """The last check's result in a few words, or ""."""
    seconds: float
    """Duration of the current or the last turn."""
    doing: str = ""
    """The current activity, or "" between turns."""
    reading: float | None = None
    """The part of the prompt that the model has read, 0 to 1; None if it is not reading."""
    seconds_left: float | None = None
    """Estimated seconds until the model has read the prompt."""
    queued: int = 0
    """Lines that wait for the turn's end."""
    session: str = ""
    resumable: bool = True
    """Whether the session has a record to resume; without events, it is deleted at the end."""
    workspace: str = ""
    read_only: bool = False
    ports: tuple[int, ...] = ()
    """Ports of this machine that commands may connect to."""


@dataclass(frozen=True, slots=True)
class RewindPreview:
    """The turn that `Chat.rewind` goes back over, and the files that it restores."""

    turn: int
    prompt: str
    files: tuple[str, ...]


class Chat(Protocol):
    """One interactive session. The module's docstring explains threads."""

    def submit(self, line: str) -> Iterator[Item]:
        """Run a line: a task or question, a `/command`, or a `!command` for the sandbox.

        The output of a `!command` joins the conversation; the output of `!!command` does not. Lines
        of `steer` that did not join the turn run after it, each as a turn of its own, unless the
        turn was cancelled. Mistakes of the user become outputs, not exceptions. The turn ends if
        the caller stops pulling items.
        """

    def answer(self, question: int, answer: Answer) -> None:
        """Answer a `Question` before the next item is pulled.

        The answer to a command (tools "shell" and "check") may hold an edited command.
        """

    def remembers(self, question: int) -> tuple[str, ...]:
        """List what "remember" would allow for this open question, one line each.

        The list is empty if the answer cannot be remembered, because the command could not be
        parsed.
        """

    def resolve(self, request: int, value: str | None) -> None:
        """Answer a `UIRequest` of the kind "edit" or "pick" before the next item is pulled.

        The answer None means that the user gave up."""

    def steer(self, line: str) -> None:
        """Take a line while `submit` runs.

        The line joins the conversation at the next step, if the planner allows that. Commands, and
        lines that did not join, wait for the turn's end.
        """

    def take_queued(self) -> list[str]:
        """Remove and return the waiting lines, to put them back into the input."""

    def cancel(self) -> None:
        """Stop the running turn; the session, its conversation and waiting lines stay."""

    def rewind_preview(self) -> RewindPreview:
        """What `rewind` would do with the last turn. Raises UsageError if there is no turn."""

    def rewind(self, turn: int | None = None) -> str:
        """Go back to before a turn (None: the last), and return its prompt for editing.

        Files and conversation return to their state before the turn. Must not be called while
        `submit` runs. Raises UsageError, and WorkspaceError if another program has changed a file
        since. After an error, nothing has changed.
        """

    @property
    def mode(self) -> Mode:
        """The mode, which says what localagent does without asking."""

    def set_mode(self, mode: Mode) -> None:
        """Change the mode. The new mode applies from the next action on, even within a turn.

        Raises UsageError for "auto" if no sandbox confines commands.
        """

    def cycle_mode(self) -> Mode:
        """Switch to the next possible mode, and return it."""

    def status(self) -> SessionStatus:
        """The content of the status line."""

    def commands(self) -> Sequence[CommandInfo]:
        """The built-in commands and the user's, in the order of a help text."""

    def complete(self, command: str, text: str) -> Sequence[Completion]:
        """Complete the argument `text` of a command (named without "/"), best completions first."""

    def warm_up(self) -> None:
        """Load the model in the background, and let it read the beginning of every prompt.

        A `submit` that needs the model waits until the warm-up is over.
        """

    def close(self) -> None:
        """End the session: stop the turn, and store the model's prompt cache."""
