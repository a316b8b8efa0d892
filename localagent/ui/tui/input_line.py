"""The input line: its buffer, what was entered before, what was pasted."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from localagent.core.paths import private, state_dir
from localagent.ui.chat.interface import Chat
from localagent.ui.view.sanitize import one_line

MAX_BYTES = 1 << 20
_LONGEST = 20_000  # characters; a longer text was pasted, and is in the transcript


class WorkspaceHistory(FileHistory):
    """A `FileHistory` that keeps no long texts, nothing twice in a row, and goes on in memory where
    the file cannot be written."""

    def append_string(self, string: str) -> None:
        """Keep one entry."""
        if string.strip() and (not self._loaded_strings or self._loaded_strings[0] != string):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write one entry."""
        if len(string) <= _LONGEST:
            try:
                super().store_string(string)
            except OSError:
                return


def open_history(workspace: Path) -> History:
    """The history of a workspace; in memory where its folder cannot be made."""
    path = history_file(workspace)
    try:
        private(path.parent)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            _shorten(path)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return WorkspaceHistory(str(path))


def history_file(workspace: Path) -> Path:
    """Where the history of a workspace lies."""
    name = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:16]
    return state_dir() / "history" / f"{name}.txt"


def _shorten(path: Path) -> None:
    """Keep the newer half; an entry begins with a line "# date"."""
    data = path.read_bytes()[-MAX_BYTES // 2 :]
    start = data.find(b"\n# ")
    path.write_bytes(data[start + 1 :] if start >= 0 else b"")


_MENTION = re.compile(r"(?:^|(?<=\s))@([^\s@]*)$")
_MOST = 50


class ChatCompleter(Completer):
    """Asks the chat, once there is one."""

    def __init__(self, chat: Callable[[], Chat | None]) -> None:
        self._chat = chat

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """What the word before the cursor can become."""
        chat = self._chat()
        if chat is None:
            return
        before = document.text_before_cursor
        if mention := _MENTION.search(before):
            for found in list(chat.complete("@", mention[1]))[:_MOST]:
                yield _completion(f"@{found.text}", -len(mention[1]) - 1, found.detail)
        elif before.startswith("/") and "\n" not in before:
            name, space, arguments = before[1:].partition(" ")
            if not space:
                yield from _commands(chat, name)
            else:
                for found in list(chat.complete(name, arguments))[:_MOST]:
                    yield _completion(found.text, -len(arguments), found.detail)


def wanted(text: str) -> bool:
    """Whether completions are shown while one types: for commands and mentions only."""
    return (text.startswith("/") and "\n" not in text and "/" not in text[1:]) or bool(
        _MENTION.search(text)
    )


def _commands(chat: Chat, typed: str) -> Iterable[Completion]:
    """Commands that begin with what was typed; where none does, those that hold it."""
    known = chat.commands()
    found = [command for command in known if command.name.startswith(typed)]
    for command in found or [command for command in known if typed in command.name]:
        words = f"{command.arguments}  {command.help}" if command.arguments else command.help
        yield _completion(f"/{command.name}", -len(typed) - 1, words)


def _completion(text: str, start: int, detail: str) -> Completion:
    return Completion(text, start, display=one_line(text, 60), display_meta=one_line(detail, 200))


FOLD_LINES = 12
FOLD_CHARACTERS = 2000
_MARK = re.compile(r"\[pasted [^\[\]\n]*\]")


class Pastes:
    """The texts behind the marks of this session, by mark."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def fold(self, text: str) -> str:
        """What stands in the input for a pasted `text`: itself, or a mark where it is long."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines <= FOLD_LINES and len(text) <= FOLD_CHARACTERS:
            return text
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        mark, number = f"[pasted {size}]", 1
        while self._texts.get(mark, text) != text:
            number += 1
            mark = f"[pasted {size}, {number}]"
        self._texts[mark] = text
        return mark

    def unfold(self, text: str) -> str:
        """`text` with what was pasted in the place of each mark."""
        return _MARK.sub(lambda found: self._texts.get(found[0], found[0]), text)

    def mark_before(self, text: str) -> int:
        """The length of the mark that `text` ends with, or 0: a mark is deleted whole."""
        for found in _MARK.finditer(text):
            if found.end() == len(text) and found[0] in self._texts:
                return len(found[0])
        return 0


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
