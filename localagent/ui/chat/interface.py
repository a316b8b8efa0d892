"""The border between an interactive session and the front end that shows it.

    chat = open_chat(options)                     # localagent.ui.chat.chat
    chat.warm_up()                                # while the user types
    for item in chat.submit("fix the failing test"):
        if isinstance(item, Output): …             # text, Markdown, a table, a diff: draw it
        elif isinstance(item, UIRequest): …           # quit, edit, pick: chat.resolve(item.id, …)
        else: …                                   # an event; a Question: chat.answer(item.id, …)

`submit` blocks between its items, so a front end pumps it in a thread of its own (the *agent
thread*), one submit at a time. Everything else may be called from any thread, at any moment.
The front end answers a `Question` or a `UIRequest` before it pulls the next item. No answer
counts as "no", or as given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localagent.core.events import MODES, Answer, Event, Mode

__all__ = ["MODES", "Answer", "Chat", "Choice", "CommandInfo", "Completion", "Item", "Mode"]
__all__ += ["Output", "Status", "UIRequest", "UIRequestKind"]


@dataclass(frozen=True, slots=True)
class Output:
    """Something for the person alone: it is neither recorded nor seen by the model.

    `text` is plain for "text", "note" (a remark, dim) and "error", CommonMark for "markdown", and
    unified for "diff". A "table" has `rows`, under `head` where that is not empty; numbers are
    ready to be shown. `title` stands above; `hint` below an error says what to do. Nothing is
    cleaned of control characters yet: the front end does that, as for events.
    """

    kind: Literal["text", "note", "error", "markdown", "table", "diff"]
    text: str = ""
    title: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be picked; `value` is what is handed back, `text` what is shown."""

    value: str
    text: str
    detail: str = ""


UIRequestKind = Literal["quit", "clear", "theme", "keys", "edit", "pick", "draft"]


@dataclass(frozen=True, slots=True)
class UIRequest:
    """Something that only a front end can do, handed back with `Chat.resolve`.

    kind        what is wanted                                   handed back
    "quit"      leave; the front end closes the chat             nothing
    "clear"     clear the screen: another conversation begins    nothing
    "theme"     use the theme `text`; "": say which there are    nothing
    "keys"      show the key bindings                            nothing
    "edit"      open `text` in the user's editor                 the text when the editor was left
    "pick"      let the user pick one of `choices`, under        the value picked
                `title`; the first is the usual one
    "draft"     put `text` into the input line for editing       nothing

    Where the user gives up (leaves the editor with an error, presses Esc), None is handed back.
    """

    id: int
    kind: UIRequestKind
    text: str = ""
    title: str = ""
    choices: tuple[Choice, ...] = ()


Item = Event | Output | UIRequest


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A command that can be entered after "/". `arguments` is a pattern for people, such as
    "[TURN]"; `origin` is "built in" or the file that it comes from."""

    name: str
    arguments: str
    help: str
    origin: str = "built in"


@dataclass(frozen=True, slots=True)
class Completion:
    """One way to go on: `text` replaces the argument that is being typed."""

    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a status line tells; cheap to ask for.

    `where` is where the model runs ("cpu", "gpu", "ollama", …). `window_used` and `window` are in
    tokens, the former of the last request and its reply; `reused` of them were not read again.
    `tokens_per_second` is of the reply that is being written, or of the last one; 0.0: none yet.
    `check` is "", or the result of the last check in a few words. `doing` is what is being done
    now, or "" while nothing runs; `seconds` how long that has taken, or how long the last turn
    took. `reading` is the part of the prompt that is read, from 0 to 1, or None while none is.
    `seconds_left` is an estimate for that. `queued` counts lines that wait for the turn's end.
    `ports` are those of this machine that commands may connect to.
    """

    model: str
    where: str
    planner: str
    mode: Mode
    window_used: int
    window: int
    tokens_per_second: float
    reused: int
    sandbox: str
    confined: bool
    branch: str
    check: str
    seconds: float
    doing: str = ""
    reading: float | None = None
    seconds_left: float | None = None
    queued: int = 0
    session: str = ""
    workspace: str = ""
    read_only: bool = False
    ports: tuple[int, ...] = ()


class Chat(Protocol):
    """One interactive session. See the module's description on threads."""

    def submit(self, line: str) -> Iterator[Item]:
        """Carry out what the user entered: a task or question, a `/command`, or a `!command` for
        the sandbox (its output joins the conversation; not with `!!`).

        Lines that `steer` took meanwhile and that did not join the turn are carried out after it,
        each with a `TurnStarted` of its own, unless the turn was cancelled. The user's mistakes
        are shown, not raised; to stop pulling ends what runs.
        """

    def answer(self, question: int, answer: Answer) -> None:
        """Answer a `Question` before the next item is pulled. A command (the tools "shell" and
        "check") may be handed back edited."""

    def remembers(self, question: int) -> tuple[str, ...]:
        """What exactly "remember" would allow for this open question, one line each; empty where
        it cannot be remembered (a command that is not understood)."""

    def resolve(self, request: int, value: str | None) -> None:
        """Answer a `UIRequest` of the kind "edit" or "pick" before the next item is pulled.

        None: the user gave up."""

    def steer(self, line: str) -> None:
        """A line that was entered while `submit` runs: it joins the conversation at the next step
        where the planner allows that; commands, and what did not join, wait for the turn's end."""

    def take_queued(self) -> list[str]:
        """The lines that wait, which then wait no more: to put them back into the input."""

    def cancel(self) -> None:
        """Stop what runs; the session goes on. What was said is kept, and so are the lines that
        wait (`take_queued`)."""

    def rewind(self, turn: int | None = None) -> str:
        """Go back to before a turn (None: the last): files are as they were then, the conversation
        is cut there. Returns what the user had asked, for editing.

        Not while `submit` runs. Raises UsageError and, where a file was changed by somebody else
        since, WorkspaceError; nothing has changed then.
        """

    @property
    def mode(self) -> Mode:
        """How much may be done without asking."""

    def set_mode(self, mode: Mode) -> None:
        """Change the mode, also in the middle of a turn: the next action is judged by it.

        Raises UsageError for "auto" where no sandbox confines commands.
        """

    def cycle_mode(self) -> Mode:
        """Go on to the next mode that is possible here, and return it."""

    def status(self) -> Status:
        """How things stand."""

    def commands(self) -> Sequence[CommandInfo]:
        """The commands, built in and the user's own, in the order of a help text."""

    def complete(self, command: str, text: str) -> Sequence[Completion]:
        """How the argument `text` of a command (its name without "/") can go on, the best first."""

    def warm_up(self) -> None:
        """Begin to load the model and let it read what every prompt begins with, in the background.
        A `submit` that needs the model waits for it and goes on from there."""

    def close(self) -> None:
        """End the session: what runs is stopped, and what the model has read is kept on disk."""
