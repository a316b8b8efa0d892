"""Dialogs that replace the input line: a question, a list to pick from, a second input line.

A dialog has rows, which the layout draws, and keys of its own. The agent thread waits for the
result of a dialog, which is a future.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.cells import cell_len
from rich.text import Text

from localagent.core.events import Question
from localagent.tools.registry import spec_of
from localagent.ui.chat.interface import Answer, UIRequest
from localagent.ui.tui.input_line import InputLine
from localagent.ui.view.format import ASCII, Symbols
from localagent.ui.view.items import verb
from localagent.ui.view.sanitize import one_line
from localagent.ui.view.screen import Surface

Place = Literal["input", "question", "picker", "side"]
"""The receiver of keys: the input line, or a dialog."""

VISIBLE_CHOICES = 10
_MAX_COLUMN = 30  # cells of the first column, before the details
# A key that the user meant for the draft must not answer a question. A key is meant for the draft
# if it comes this soon after the last key, or this soon after the question appeared.
_TYPING_SECONDS = 1.0
_UNREAD_SECONDS = 0.3
_MOVES = (("up", -1), ("c-p", -1), ("k", -1), ("down", 1), ("c-n", 1), ("j", 1), ("tab", 1))


@dataclass
class QuestionBox:
    """An open question. `remembered` lists the actions that the answer "always" would allow."""

    question: Question
    remembered: tuple[str, ...]
    reply: Future[Answer | None]
    since: float = field(default_factory=time.monotonic)

    @property
    def is_command(self) -> bool:
        """Return whether the question is about a command, which the user can edit."""
        return spec_of(self.question.tool).body == "command"

    def rows(self) -> list[Text]:
        """Return the possible answers, one row each."""

        def key(name: str) -> tuple[str, str]:
            return f"  {name}", "accent.strong"

        yes = f"  yes, {verb(self.question.tool)} "
        rows = [Text.assemble(key("y"), yes, key("n"), "  no")]
        rows.append(Text.assemble(key("r"), "  no, and say why"))
        if self.is_command:
            rows.append(Text.assemble(key("e"), "  edit the command first"))
        if self.remembered:
            scope = "; ".join(one_line(each, 200) for each in self.remembered)
            rows.append(Text.assemble(key("a"), f"  yes, always here: {scope}"))
        return rows


@dataclass
class Picker:
    """A list of choices; `at` is the index of the picked choice."""

    request: UIRequest
    reply: Future[str | None]
    at: int = 0

    def move(self, by: int) -> None:
        """Move `by` rows up or down; after the last choice comes the first."""
        self.at = (self.at + by) % max(len(self.request.choices), 1)

    def rows(self, symbols: Symbols) -> list[Text]:
        """Return the rows of the choices around the picked choice."""
        choices = self.request.choices
        first = max(min(self.at - VISIBLE_CHOICES // 2, len(choices) - VISIBLE_CHOICES), 0)
        rows = [Text(f"  {one_line(self.request.title or 'pick one')}", style="strong")]
        sign = ">" if symbols is ASCII else "❯"
        visible = choices[first : first + VISIBLE_CHOICES]
        labels = [f"{c.key}  " * bool(c.key) + one_line(c.text, 100) for c in visible]
        column = min(max(map(cell_len, labels), default=0), _MAX_COLUMN)
        for number, (choice, label) in enumerate(zip(visible, labels, strict=True), first):
            picked = number == self.at
            row = Text(f"  {sign if picked else ' '} ", style="accent.strong")
            row.append(label, style="accent.strong" if picked else "")
            if choice.detail:
                room = " " * max(column - cell_len(label), 0) + "  "
                row.append(f"{room}{one_line(choice.detail, 100)}", style="faint")
            rows.append(row)
        position = f"{self.at + 1} of {len(choices)}; " if len(choices) > VISIBLE_CHOICES else ""
        rows.append(Text(f"    {position}Enter takes it, Esc goes back", style="faint"))
        return rows


@dataclass
class SideInput:
    """A second input line, for a reason or for a command to edit; `done` gets its text."""

    label: str
    done: Callable[[str], None]


class Host(Protocol):
    """The part of the terminal that dialogs use."""

    note: str
    """A remark that replaces the status line."""

    @property
    def printer(self) -> Surface:
        """The queue of lines that are printed above the dialogs."""

    def focus(self, place: Place) -> None:
        """Send keys to the place `place`."""

    def stop_agent(self) -> None:
        """Stop the turn, as Ctrl-C does in the input line."""


class Dialogs:
    """The open dialogs of one terminal, and their keys."""

    def __init__(self, host: Host, line: InputLine) -> None:
        self._host = host
        self._line = line
        self.question: QuestionBox | None = None
        self.picker: Picker | None = None
        self.side: SideInput | None = None

    def open_question(self, box: QuestionBox) -> None:
        """Let the user answer a question, and set the future to the answer."""
        self.question = box
        self._host.focus("question")

    def open_picker(self, picker: Picker) -> None:
        """Let the user pick from a list, and set the future to the choice."""
        self.picker = picker
        self._host.focus("picker")

    def cancel_question(self) -> None:
        """Close the open question without an answer."""
        self._close_question(None)

    def bindings(self, place: Place) -> KeyBindings:
        """Return the key bindings of a dialog."""
        keys = KeyBindings()
        match place:
            case "question":
                keys.add("<any>")(self._other_key)
                for name, handler in (("y", self._yes), ("n", self._no), ("a", self._always)):
                    keys.add(name)(handler)
                    keys.add(name.upper())(handler)
                keys.add("e")(self._edit_command)
                keys.add("r")(self._give_reason)
                keys.add("escape")(self._no)
                keys.add("c-c")(lambda _: self._host.stop_agent())
            case "picker":
                keys.add("<any>")(self._pick_by_key)
                for name, by in _MOVES:
                    keys.add(name)(partial(self._move, by))
                keys.add("enter")(lambda _: self._pick(True))
                for name in ("escape", "c-c", "q", "c-d"):
                    keys.add(name)(lambda _: self._pick(False))
            case "side":
                keys.add("enter")(lambda _: self._finish_side_input())
                keys.add("escape")(lambda _: self._close_side_input())
                keys.add("c-c")(lambda _: self._close_side_input())
        return keys

    # Keys of the question.

    def _close_question(self, answer: Answer | None) -> None:
        box, self.question, self.side = self.question, None, None
        if box is not None:
            self._host.focus("input")
            if not box.reply.done():
                box.reply.set_result(answer)

    def _answer(self, answer: Answer, words: str) -> None:
        self._host.printer.line(Text(f"  {words}", "strong"))
        self._close_question(answer)

    def _box_for_key(self, event: KeyPressEvent) -> QuestionBox | None:
        """Return the open question if the key answers it; otherwise, put the key into the draft."""
        box, now = self.question, time.monotonic()
        if box is None:
            return None
        buffer = self._line.buffer
        typing = bool(buffer.text) and now - self._line.typed_at < _TYPING_SECONDS
        if typing or now - box.since < _UNREAD_SECONDS:
            buffer.insert_text(event.data if event.data.isprintable() else "")
            return None
        return box

    def _yes(self, event: KeyPressEvent) -> None:
        if self._box_for_key(event):
            self._answer(Answer(True), "yes")

    def _no(self, event: KeyPressEvent) -> None:
        if self._box_for_key(event):
            self._answer(Answer(False), "no")

    def _always(self, event: KeyPressEvent) -> None:
        box = self._box_for_key(event)
        if box and box.remembered:
            scope = "; ".join(box.remembered)
            self._answer(Answer(True, remember=True), f"yes, always here: {scope}")
        elif box:
            self._host.note = "always is not possible here: localagent asks each time"

    def _edit_command(self, event: KeyPressEvent) -> None:
        box = self._box_for_key(event)
        if box and not box.is_command:
            self._host.note = "only a command can be edited; r rejects with a reason"
        elif box:
            command = box.question.subject

            def run(text: str) -> None:
                answer = Answer(True, edited="" if text == command else text)
                self._answer(answer, f"yes: {text}")

            self._open_side_input(SideInput("run:", run), command)

    def _give_reason(self, event: KeyPressEvent) -> None:
        if self._box_for_key(event):

            def reject(reason: str) -> None:
                self._answer(Answer(False, reason), f"no: {reason}")

            self._open_side_input(SideInput("why not?", reject), "")

    def _other_key(self, event: KeyPressEvent) -> None:
        if self._box_for_key(event) and event.data.isprintable():
            self._host.note = "y yes, n no, r say why not"

    # Keys of the second input line.

    def _open_side_input(self, side: SideInput, text: str) -> None:
        self.side = side
        self._line.side.text = text
        self._line.side.cursor_position = len(text)
        self._host.focus("side")

    def _finish_side_input(self) -> None:
        text = self._line.side.text.strip()
        if self.side is not None and text:
            self.side.done(text)
        else:
            self._close_side_input()

    def _close_side_input(self) -> None:
        self.side = None
        self._host.focus("question" if self.question else "input")

    # Keys of the list.

    def _move(self, by: int, _event: KeyPressEvent) -> None:
        if self.picker is not None:
            self.picker.move(by)

    def _pick_by_key(self, event: KeyPressEvent) -> None:
        choices = self.picker.request.choices if self.picker is not None else ()
        for at, choice in enumerate(choices):
            if self.picker is not None and choice.key and choice.key == event.data.lower():
                self.picker.at = at
                self._pick(True)
                return

    def _pick(self, taken: bool) -> None:
        picker, self.picker = self.picker, None
        self._host.focus("input")
        if picker is not None and not picker.reply.done():
            choices = picker.request.choices
            picker.reply.set_result(choices[picker.at].value if taken and choices else None)
