"""What the keys do, in the input line and where something is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from rich.text import Text

from localagent.core.errors import LocalAgentError
from localagent.ui.chat.interface import Answer, Chat, Output
from localagent.ui.tui.keys import ACTIONS
from localagent.ui.tui.state import Aside
from localagent.ui.tui.worker_thread import LongOutput
from localagent.ui.view.render import draw_prompt

if TYPE_CHECKING:
    from localagent.ui.tui.app import Tui

AGAIN_SECONDS = 2.0
"""How long the first Ctrl-C counts for a second to leave."""

# A key that was meant for the draft is no answer to a question: one that comes while the user types
# (seconds since the key before), or before anybody can have read the question (seconds since it).
_TYPING_SECONDS = 1.0
_UNREAD_SECONDS = 0.3
_MAX_EXPANDED = 2000  # lines

_MOVES = (("up", -1), ("c-p", -1), ("k", -1), ("down", 1), ("c-n", 1), ("j", 1), ("tab", 1))

Handler = Callable[[KeyPressEvent], object]


class Actions:
    """The bindings of one terminal."""

    def __init__(self, tui: Tui) -> None:
        self._tui = tui
        self.bound: Mapping[str, tuple[tuple[str, ...], ...]] = {
            name: tuple(tuple(keys.split()) for keys in action.keys)
            for name, action in ACTIONS.items()
        }
        self._stopped_at = float("-inf")
        self._typed_at = float("-inf")
        self._expanded = 0
        self._expanded_last: LongOutput | None = None

    def for_input(self, bound: Mapping[str, tuple[tuple[str, ...], ...]]) -> KeyBindings:
        """The bindings that hold in the input line; some of them everywhere."""
        tui, found = self._tui, KeyBindings()
        in_line = has_focus(tui.line.buffer)
        typing = {"send", "newline", "complete", "leave", "back", "editor"}
        for name, sequences in bound.items():
            handler: Handler | None = getattr(self, f"_{name}", None)
            for keys in sequences:
                if handler is not None:
                    found.add(*keys, filter=in_line if name in typing else True)(_calling(handler))
        stoppable = in_line & Condition(
            lambda: tui.agent.busy and not tui.line.buffer.complete_state
        )
        found.add("escape", filter=stoppable & ~_vi(tui))(_calling(self._stop))
        found.add(
            "escape", filter=in_line & Condition(lambda: bool(tui.line.buffer.complete_state))
        )(_calling(lambda event: event.current_buffer.cancel_completion()))
        found.add("<sigint>")(_calling(self._stop))
        found.add(Keys.BracketedPaste, filter=in_line)(_calling(self._paste))
        mark = Condition(lambda: self._mark() > 0)
        found.add("backspace", filter=in_line & mark)(_calling(self._delete_mark))
        tui.line.buffer.on_text_insert += self._on_insert
        return found

    def local(self, place: str) -> KeyBindings:
        """The bindings of a place that takes the keys instead of the input line."""
        found = KeyBindings()
        match place:
            case "asking":
                found.add("<any>")(_calling(self._other_key))
                for keys, handler in (("y", self._yes), ("n", self._no), ("a", self._always)):
                    found.add(keys)(_calling(handler))
                    found.add(keys.upper())(_calling(handler))
                found.add("e")(_calling(self._edit_command))
                found.add("r")(_calling(self._say_why))
                found.add("escape")(_calling(self._no))
                found.add("c-c")(_calling(self._stop))
            case "picking":
                for key, by in _MOVES:
                    found.add(key)(_calling(partial(self._move, by)))
                found.add("enter")(_calling(lambda _: self._pick(True)))
                for key in ("escape", "c-c", "q", "c-d"):
                    found.add(key)(_calling(lambda _: self._pick(False)))
            case "aside":
                found.add("enter")(_calling(self._aside_done))
                found.add("escape")(_calling(self._aside_given_up))
                found.add("c-c")(_calling(self._aside_given_up))
        return found

    # The input line.

    def _send(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.apply_completion(state.current_completion)
            if not buffer.text.startswith("/") or " " in buffer.text:
                return
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
            return
        if not buffer.text.strip():
            return
        self._stopped_at = float("-inf")  # what stopped something else does not count any more
        self._submit(self._tui.line.take())

    def _submit(self, text: str) -> None:
        tui = self._tui
        chat = tui.agent.chat
        self._expanded = 0
        if tui.agent.busy and chat is not None:
            if text.strip() in ("/quit", "/exit"):
                tui.leave(0)
                return
            tui.state.steered.append(text.strip())
            chat.steer(text)
        else:
            tui.outbox.line()
            draw_prompt(tui.outbox, text)
            tui.agent.submit(text)
        tui.app.invalidate()

    def _newline(self, event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    def _complete(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state:
            buffer.complete_next()
        else:
            buffer.start_completion(select_first=True)

    def _stop(self, _event: KeyPressEvent) -> None:
        """Stop the model; else put the draft aside; else leave, at the second time."""
        tui, now = self._tui, time.monotonic()
        again = now - self._stopped_at < AGAIN_SECONDS
        if tui.agent.busy and not (again and not tui.line.buffer.text):
            self._stopped_at = now
            self._cancel()
        elif tui.line.buffer.text:
            tui.line.take()
            tui.state.note = "the draft is put aside: Up brings it back"
        elif again:
            tui.leave(0)
        else:
            self._stopped_at = now
            tui.state.note = "Ctrl-C once more leaves; the session can be resumed"

    def _cancel(self) -> None:
        tui = self._tui
        chat = tui.agent.chat
        asking, tui.state.asking = tui.state.asking, None
        tui.agent.cancel()
        if asking is not None:
            asking.reply.give(None)
            tui.app.layout.focus(tui.view.input)
        if chat is not None and (waiting := chat.take_queued()):
            tui.line.put("\n".join(waiting))
        tui.state.steered.clear()
        tui.outbox.status("stopping")

    def _leave(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.text:
            buffer.delete()
        else:
            self._tui.leave(0)

    def _mode(self, _event: KeyPressEvent) -> None:
        chat = self._tui.agent.chat
        if chat is not None:
            try:
                chat.cycle_mode()
            except LocalAgentError as error:
                self._tui.state.note = error.message

    def _back(self, event: KeyPressEvent) -> None:
        """Go back to before the last turn, its request in the input line."""
        tui = self._tui
        if tui.agent.busy or tui.agent.chat is None:
            self._stop(event)
            return

        def work(chat: Chat) -> None:
            prompt = chat.rewind()
            note = "back to before this message; files are as they were then"
            tui.show(Output("note", note))
            tui.post(lambda: tui.line.put(prompt))

        tui.agent.do(work)

    def _expand(self, _event: KeyPressEvent) -> None:
        """Show the last output that was shown in one line, in full; again: the one before it."""
        tui = self._tui
        outputs = list(tui.agent.outputs)
        if outputs and outputs[-1] is not self._expanded_last:
            self._expanded, self._expanded_last = 0, outputs[-1]
        if self._expanded >= len(outputs):
            tui.state.note = "there is no other output to show" if outputs else "no output yet"
            return
        self._expanded += 1
        output = outputs[-self._expanded]
        tui.outbox.line(Text(output.title, "heading"))
        lines = output.text.rstrip().split("\n")
        for line in lines[:_MAX_EXPANDED]:
            tui.outbox.line(Text(f"  {line}"), wrap=False)
        if len(lines) > _MAX_EXPANDED:
            tui.outbox.line(Text(f"  ... {len(lines) - _MAX_EXPANDED:,} more lines", "faint"))

    def _editor(self, event: KeyPressEvent) -> None:
        tui = self._tui
        text = tui.line.pastes.unfold(tui.line.buffer.text)

        async def edit() -> None:
            new = await tui.edit(text)
            if new is not None:
                tui.line.buffer.document = Document(new, len(new))

        event.app.create_background_task(edit())

    def _clear(self, event: KeyPressEvent) -> None:
        event.app.renderer.clear()

    def _suspend(self, event: KeyPressEvent) -> None:
        event.app.suspend_to_background()

    def _search(self, event: KeyPressEvent) -> None:
        from prompt_toolkit.search import SearchDirection, start_search

        if event.app.layout.has_focus(self._tui.line.buffer):
            start_search(direction=SearchDirection.BACKWARD)

    def _paste(self, event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(self._tui.line.pastes.fold(event.data))

    def _mark(self) -> int:
        line = self._tui.line
        return line.pastes.mark_before(line.buffer.document.text_before_cursor)

    def _delete_mark(self, event: KeyPressEvent) -> None:
        event.current_buffer.delete_before_cursor(self._mark())

    def _on_insert(self, _: object) -> None:
        self._typed_at = time.monotonic()

    # A question.

    def _answer(self, answer: Answer, said: str) -> None:
        tui = self._tui
        asking = tui.state.asking
        if asking is None:
            return
        tui.state.asking = tui.state.aside = None
        tui.app.layout.focus(tui.view.input)
        tui.outbox.line(Text(f"  {said}", "strong"))
        asking.reply.give(answer)

    def _meant_for_draft(self, event: KeyPressEvent) -> bool:
        """Whether a key was meant for the draft; then it goes there."""
        asking, now = self._tui.state.asking, time.monotonic()
        buffer = self._tui.line.buffer
        if asking is None:
            return False
        typing = bool(buffer.text) and now - self._typed_at < _TYPING_SECONDS
        if typing or now - asking.reply.since < _UNREAD_SECONDS:
            buffer.insert_text(event.data if event.data.isprintable() else "")
            return True
        return False

    def _yes(self, event: KeyPressEvent) -> None:
        if not self._meant_for_draft(event):
            self._answer(Answer(True), "yes")

    def _no(self, event: KeyPressEvent) -> None:
        if not self._meant_for_draft(event):
            self._answer(Answer(False, "the user said no"), "no")

    def _always(self, event: KeyPressEvent) -> None:
        asking = self._tui.state.asking
        if asking is None or self._meant_for_draft(event):
            return
        if asking.remembers:
            what = "; ".join(asking.remembers)
            self._answer(Answer(True, remember=True), f"yes, always here: {what}")
        else:
            self._tui.state.note = "this cannot be remembered: it is asked each time"

    def _edit_command(self, event: KeyPressEvent) -> None:
        asking = self._tui.state.asking
        if asking is None or self._meant_for_draft(event):
            return
        if not asking.is_command:
            self._tui.state.note = "only a command can be edited; r says why not"
            return
        command = asking.question.subject
        self._open_aside(
            Aside("run:", lambda text: self._answer(_edited(command, text), f"yes: {text}")),
            command,
        )

    def _say_why(self, event: KeyPressEvent) -> None:
        if not self._meant_for_draft(event):
            self._open_aside(
                Aside("why not?", lambda text: self._answer(Answer(False, text), f"no: {text}")), ""
            )

    def _other_key(self, event: KeyPressEvent) -> None:
        if not self._meant_for_draft(event) and event.data.isprintable():
            self._tui.state.note = "y yes, n no, r say why not"

    def _open_aside(self, aside: Aside, text: str) -> None:
        tui = self._tui
        tui.state.aside = aside
        tui.line.aside.document = Document(text, len(text))
        tui.app.layout.focus(tui.view.aside)

    def _aside_done(self, event: KeyPressEvent) -> None:
        aside, text = self._tui.state.aside, self._tui.line.aside.text.strip()
        if aside is not None and text:
            aside.done(text)
        else:
            self._aside_given_up(event)

    def _aside_given_up(self, _event: KeyPressEvent) -> None:
        tui = self._tui
        tui.state.aside = None
        tui.app.layout.focus(tui.view.asking if tui.state.asking else tui.view.input)

    # A list.

    def _move(self, by: int, _event: KeyPressEvent) -> None:
        if self._tui.state.picking is not None:
            self._tui.state.picking.move(by)

    def _pick(self, taken: bool) -> None:
        tui = self._tui
        picking, tui.state.picking = tui.state.picking, None
        tui.app.layout.focus(tui.view.input)
        if picking is not None:
            choice = picking.choice if taken else None
            picking.reply.give(choice.value if choice else None)


def _edited(command: str, text: str) -> Answer:
    return Answer(True, edited="" if text == command else text)


def _vi(tui: Tui) -> Condition:
    from prompt_toolkit.enums import EditingMode

    return Condition(lambda: tui.app.editing_mode == EditingMode.VI)


def _calling(handler: Handler) -> Handler:
    """A handler whose result does not matter."""

    def called(event: KeyPressEvent) -> None:
        handler(event)

    return called
