"""Keys of the input line: its actions, the setting that binds keys to actions, and the handlers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition, has_focus, is_searching, vi_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_bindings import _parse_key
from prompt_toolkit.keys import Keys
from rich.text import Text

from localagent.core.errors import ConfigError, LocalAgentError
from localagent.ui.chat.aliases import QUIT_LINES
from localagent.ui.chat.interface import Chat, Output, PickerChoice, RewindPreview, UIRequest
from localagent.ui.tui.agent_thread import LongOutput
from localagent.ui.view.items import draw_prompt
from localagent.ui.view.sanitize import one_line
from localagent.ui.view.search_view import SearchLog

if TYPE_CHECKING:
    from localagent.ui.tui.app import Tui

AGAIN_SECONDS = 2.0
"""Seconds in which a second Ctrl-C leaves the session."""

_MAX_EXPANDED = 2000  # lines
_MAX_FILES = 10  # in the question whether to go back
_MAX_PROMPT = 60  # characters of a turn's prompt in that question
_BACK = (
    PickerChoice("back", "yes, go back", "/redo brings the changes again", key="y"),
    PickerChoice("stay", "no", key="n"),
)

# Signs that begin a line. prompt_toolkit binds Alt with each of them, and reads Esc and then the
# sign within `timeoutlen` as that key.
_AFTER_ESCAPE = ("/", "#")

KeyTable = Mapping[str, tuple[tuple[str, ...], ...]]
"""The key sequences of each action; each sequence alone triggers the action."""


@dataclass(frozen=True, slots=True)
class KeyAction:
    """An action of the input line. `keys` are its alternatives; spaces separate a sequence.

    The handler of an action is the method of `InputKeys` with the same name and a leading
    underscore. With `in_line`, an action works only in the input line.
    """

    keys: tuple[str, ...]
    help: str
    in_line: bool = False


ACTIONS: dict[str, KeyAction] = {
    "send": KeyAction(("enter",), "send the line, or take the picked completion", True),
    "newline": KeyAction(("escape enter", "c-j"), "add a line (or backslash, then Enter)", True),
    "complete": KeyAction(("tab",), "complete a command, file or symbol", True),
    "stop": KeyAction(("c-c",), "stop the model, or put the draft aside; twice to leave"),
    "leave": KeyAction(("c-d",), "leave, if the line is empty", True),
    "mode": KeyAction(("s-tab",), "the next mode: plan, ask, auto-edit, auto"),
    "back": KeyAction(
        ("escape escape",), "edit the last message; asks before files are restored", True
    ),
    "expand": KeyAction(("c-o",), "show the last output in full; again for earlier ones"),
    "editor": KeyAction(("c-x c-e",), "write in your editor ($VISUAL, $EDITOR)", True),
    "search": KeyAction(("c-r",), "search your earlier input"),
    "clear": KeyAction(("c-l",), "clear the screen"),
    "suspend": KeyAction(("c-z",), "suspend localagent (fg wakes it)"),
}

_KEY_NAMES = {
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "s-tab": "Shift-Tab",
    "space": "Space",
    "backspace": "Backspace",
}


# The setting `keys`.


def key_table(setting: Mapping[str, str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the keys of each action: the defaults, changed by the setting `keys`.

    A value such as "c-x c-e" is a sequence; "|" separates alternatives, and "" removes all keys.
    Raises ConfigError for an unknown action or key.
    """
    for name in setting:
        if name not in ACTIONS:
            known = ", ".join(ACTIONS)
            raise ConfigError(f"keys: unknown action {name!r}", f"known actions: {known}")
    table = {}
    for name, action in ACTIONS.items():
        words = action.keys
        if name in setting:
            words = tuple(each for each in setting[name].split("|") if each.strip())
        table[name] = tuple(_sequence(name, each) for each in words)
    return table


def _sequence(name: str, words: str) -> tuple[str, ...]:
    keys = tuple(words.split())
    for key in keys:
        try:
            _parse_key(key)
        except ValueError:
            raise ConfigError(
                f"keys: {key!r}, for the action {name}, is not a key",
                'examples of keys: "c-x c-e", "escape enter", "s-tab", "f2"',
            ) from None
    return keys


def key_name(keys: tuple[str, ...]) -> str:
    """Format a key sequence for readers: "Ctrl-X Ctrl-E", "Alt-Enter"."""
    if len(keys) == 2 and keys[0] == "escape" and keys[1] != "escape":
        return f"Alt-{key_name(keys[1:])}"
    names = []
    for key in keys:
        if key in _KEY_NAMES:
            names.append(_KEY_NAMES[key])
        elif key.startswith("c-"):
            names.append(f"Ctrl-{key[2:].upper()}")
        elif key.startswith("s-"):
            names.append(f"Shift-{key[2:].capitalize()}")
        else:
            names.append(key.upper() if key in {k.value for k in Keys} else key)
    return " ".join(names)


def key_rows(table: KeyTable) -> tuple[tuple[str, str, str], ...]:
    """Return a row (action, keys, effect) for each action, for a table on the screen."""
    return tuple(
        (name, ", ".join(map(key_name, table[name])) or "-", action.help)
        for name, action in ACTIONS.items()
    )


# The handlers of the actions.


class InputKeys:
    """The key handlers of one terminal."""

    def __init__(self, tui: Tui) -> None:
        self._tui = tui
        self._line = tui.line
        self.table = key_table({})
        self._stopped_at = float("-inf")
        self._expanded = 0
        self._newest_output: LongOutput | SearchLog | None = None

    def bindings(self) -> KeyBindings:
        """Return the key bindings for `table`, and for the keys that no setting changes."""
        keys, buffer = KeyBindings(), self._line.buffer
        in_line = has_focus(buffer)
        for name, sequences in self.table.items():
            for sequence in sequences:
                where = in_line if ACTIONS[name].in_line else True
                keys.add(*sequence, filter=where)(getattr(self, f"_{name}"))
        completing = Condition(lambda: buffer.complete_state is not None)
        busy = Condition(lambda: self._tui.agent.busy)
        keys.add("escape", filter=in_line & busy & ~completing & ~vi_mode)(self._stop)
        keys.add("escape", filter=in_line & completing)(lambda _: buffer.cancel_completion())
        keys.add("escape", filter=is_searching, eager=True)(lambda _: self._take_match())
        taken = {sequence for sequences in self.table.values() for sequence in sequences}
        for sign in _AFTER_ESCAPE:
            if ("escape", sign) not in taken:
                keys.add("escape", sign, filter=in_line & ~vi_mode)(self._escape_and_insert)
        empty = Condition(lambda: not buffer.text)
        keys.add("?", filter=in_line & empty & ~vi_mode)(lambda _: self._show_keys())
        keys.add("c-t", filter=in_line & empty)(lambda _: self._note("/plan shows the plan"))
        keys.add("<sigint>")(self._stop)
        keys.add(Keys.BracketedPaste, filter=in_line)(self._paste)
        folded = Condition(lambda: self._placeholder_length() > 0)
        keys.add("backspace", filter=in_line & folded)(
            lambda _: buffer.delete_before_cursor(self._placeholder_length())
        )
        return keys

    def _send(self, _event: KeyPressEvent) -> None:
        buffer = self._line.buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.apply_completion(state.current_completion)
            if not buffer.text.startswith("/") or " " in buffer.text:
                return
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        elif buffer.text.strip():
            self._stopped_at = float("-inf")  # the next Ctrl-C counts as the first Ctrl-C again
            self._submit(self._line.take())

    def _submit(self, text: str) -> None:
        tui, chat = self._tui, self._tui.agent.chat
        self._expanded = 0
        if tui.agent.busy and chat is not None:
            if text.strip() in QUIT_LINES:
                tui.leave(0)
                return
            tui.queued.append(text.strip())
            chat.steer(text)
        else:
            tui.printer.line()
            draw_prompt(tui.printer, text)
            tui.agent.submit(text)
        tui.app.invalidate()

    def _note(self, text: str) -> None:
        self._tui.note = text

    def _show_keys(self) -> None:
        self._tui.draw(Output("table", rows=key_rows(self.table)))

    def _newline(self, _event: KeyPressEvent) -> None:
        self._line.buffer.newline(copy_margin=False)

    def _complete(self, _event: KeyPressEvent) -> None:
        buffer = self._line.buffer
        if buffer.complete_state:
            buffer.complete_next()
        elif not buffer.text:
            self._tui.note = "Shift-Tab changes the mode; @ and / begin names to complete"
        else:
            buffer.start_completion(select_first=True)

    def _stop(self, _event: KeyPressEvent) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the model, or put the draft aside, or leave on the second Ctrl-C."""
        tui, now = self._tui, time.monotonic()
        draft = self._line.buffer.text
        again = now - self._stopped_at < AGAIN_SECONDS
        if tui.agent.busy and not (again and not draft):
            self._stopped_at = now
            self._cancel()
        elif draft:
            self._line.take()
            tui.note = "the draft is put aside: Up brings it back"
        elif again:
            tui.leave(0)
        else:
            self._stopped_at = now
            tui.note = "press Ctrl-C again to leave; the session can be resumed"

    def _escape_and_insert(self, event: KeyPressEvent) -> None:
        """Act on Esc, and then insert the sign typed after it."""
        buffer = self._line.buffer
        if buffer.complete_state is not None:
            buffer.cancel_completion()
        elif self._tui.agent.busy:
            self.stop()
        buffer.insert_text(event.data)

    def _cancel(self) -> None:
        tui, chat = self._tui, self._tui.agent.chat
        lines = tui.agent.cancel()
        tui.dialogs.cancel_question()
        if chat is not None:
            lines = chat.take_queued()
        if lines:
            self._line.insert("\n".join(lines))
        tui.queued.clear()
        if tui.agent.busy:
            tui.printer.status("stopping")
        elif lines:
            tui.note = "not sent: the session is not open yet"

    def _leave(self, _event: KeyPressEvent) -> None:
        if self._line.buffer.text:
            self._line.buffer.delete()
        else:
            self._tui.leave(0)

    def _mode(self, _event: KeyPressEvent) -> None:
        chat = self._tui.agent.chat
        if chat is not None:
            try:
                chat.cycle_mode()
            except LocalAgentError as error:
                self._tui.note = error.message

    def _back(self, _event: KeyPressEvent) -> None:
        """Undo the last turn, and put its prompt back into the input line.

        If that restores files, the user is asked first.
        """
        tui = self._tui
        if tui.agent.busy or tui.agent.chat is None:
            self.stop()
            return

        def rewind(chat: Chat) -> None:
            preview = chat.rewind_preview()
            if preview.files and not self._may_restore(preview):
                tui.draw(Output("note", "stayed; nothing was restored"))
                return
            prompt = chat.rewind()
            undone = "its changes are undone" if preview.files else "it had changed no file"
            tui.draw(Output("note", f"back to before this message; {undone}"))
            tui.post(lambda: self._line.insert(prompt))

        tui.agent.call(rewind)

    def _may_restore(self, preview: RewindPreview) -> bool:
        """Ask whether files may be restored; called in the agent thread."""
        names = ", ".join(preview.files[:_MAX_FILES])
        more = len(preview.files) - _MAX_FILES
        names += f" and {more} more" if more > 0 else ""
        prompt = one_line(preview.prompt, _MAX_PROMPT)
        text = f"turn {preview.turn} ({prompt}) changed {names}"
        self._tui.draw(Output("text", text))
        title = f"Go back to before turn {preview.turn}, and restore these files?"
        return self._tui.front_end.resolve(UIRequest(0, "pick", "", title, _BACK)) == "back"

    def _expand(self, _event: KeyPressEvent) -> None:
        """Print the last output in full; if called again, print the output before it."""
        tui, outputs = self._tui, list(self._tui.agent.outputs)
        if outputs and outputs[-1] is not self._newest_output:
            self._expanded, self._newest_output = 0, outputs[-1]
        if self._expanded >= len(outputs):
            tui.note = "there is no other output to show" if outputs else "no output yet"
            return
        self._expanded += 1
        output = outputs[-self._expanded]
        tui.printer.line(Text(output.title, "heading"))
        lines = output.text.rstrip().split("\n")
        for line in lines[:_MAX_EXPANDED]:
            tui.printer.line(Text(f"  {line}"), wrap=False)
        if len(lines) > _MAX_EXPANDED:
            more = f"  ... {len(lines) - _MAX_EXPANDED:,} more lines"
            tui.printer.line(Text(more, "faint"))

    def _editor(self, event: KeyPressEvent) -> None:
        async def edit() -> None:
            text = await self._tui.front_end.edit(self._line.text())
            if text is not None:
                self._line.replace(text)

        event.app.create_background_task(edit())

    def _clear(self, event: KeyPressEvent) -> None:
        event.app.renderer.clear()

    def _suspend(self, event: KeyPressEvent) -> None:
        event.app.suspend_to_background()

    def _search(self, event: KeyPressEvent) -> None:
        from prompt_toolkit.search import SearchDirection, start_search

        if event.app.layout.has_focus(self._line.buffer):
            start_search(direction=SearchDirection.BACKWARD)

    def _take_match(self) -> None:
        """Keep the earlier input that the search found, with the cursor at its end."""
        from prompt_toolkit.search import accept_search

        accept_search()
        self._line.buffer.cursor_position = len(self._line.buffer.text)

    def _paste(self, event: KeyPressEvent) -> None:
        self._line.buffer.insert_text(self._line.pastes.fold(event.data))

    def _placeholder_length(self) -> int:
        before = self._line.buffer.document.text_before_cursor
        return self._line.pastes.placeholder_length(before)
