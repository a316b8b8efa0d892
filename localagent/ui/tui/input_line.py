"""The input line: its buffer, what was entered before, what was pasted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import History

from localagent.ui.chat.interface import Chat
from localagent.ui.tui.complete import ChatCompleter, wanted
from localagent.ui.tui.history import open_history
from localagent.ui.tui.paste import Pastes


@dataclass
class Line:
    """What the user types into; `aside` is for a reason, or a command to edit."""

    buffer: Buffer
    aside: Buffer
    history: History
    pastes: Pastes = field(default_factory=Pastes)

    def put(self, text: str) -> None:
        """Put `text` before the draft, and the cursor behind it."""
        draft = self.buffer.text
        text = f"{text}\n{draft}" if draft.strip() and text else text or draft
        self.buffer.document = Document(text, len(text))

    def take(self) -> str:
        """The whole text, pasted parts included; the line is empty then, and the history knows."""
        text = self.pastes.unfold(self.buffer.text)
        if text.strip():
            self.history.append_string(text)
        self.buffer.reset()
        return text


def open_buffer(workspace: Path, chat: Callable[[], Chat | None]) -> Line:
    """The input line of a workspace."""
    history = open_history(workspace)
    buffer = Buffer(
        name="input",
        multiline=True,
        history=history,
        completer=ThreadedCompleter(ChatCompleter(chat)),
        complete_while_typing=Condition(lambda: wanted(buffer.document.text_before_cursor)),
    )
    return Line(buffer, Buffer(name="aside", multiline=True), history)
