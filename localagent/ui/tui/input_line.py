"""The input line: its buffer, completion, history, and folded pastes."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, ThreadedCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from localagent.core.paths import private, state_dir
from localagent.ui.chat.interface import Chat
from localagent.ui.view.sanitize import one_line

MAX_HISTORY_BYTES = 1 << 20
FOLD_LINES = 12
FOLD_CHARACTERS = 2000
_LONGEST_ENTRY = 20_000  # characters; a longer text is not stored in the history
_MAX_COMPLETIONS = 50
_MENTION = re.compile(r"(?:^|(?<=\s))@([^\s@]*)$")
_FOLDED = re.compile(r"\[pasted [^\[\]\n]*\]")


class InputLine:
    """The user's draft. `side` is a second input line, for a reason or for a command to edit."""

    def __init__(self, workspace: Path, chat: Callable[[], Chat | None]) -> None:
        self.history = open_history(workspace)
        self.pastes = Pastes()
        self.typed_at = float("-inf")
        """The time of the last key in the draft, in monotonic seconds."""
        self.side = Buffer(name="side", multiline=True)
        self.buffer = Buffer(
            name="input",
            multiline=True,
            history=self.history,
            completer=ThreadedCompleter(ChatCompleter(chat)),
            complete_while_typing=Condition(
                lambda: completes_while_typing(self.buffer.document.text_before_cursor)
            ),
            on_text_insert=lambda _: self._note_time(),
        )

    def _note_time(self) -> None:
        self.typed_at = time.monotonic()

    def insert(self, text: str) -> None:
        """Insert `text` before the draft, with the cursor at the end."""
        draft = self.buffer.text
        self.replace(f"{text}\n{draft}" if draft.strip() and text else text or draft)

    def replace(self, text: str) -> None:
        """Make `text` the draft, with the cursor at its end."""
        self.buffer.document = Document(text, len(text))

    def text(self) -> str:
        """The whole draft, with folded pastes as full text."""
        return self.pastes.unfold(self.buffer.text)

    def take(self) -> str:
        """Clear the line, add its whole text to the history, and return that text."""
        text = self.text()
        if text.strip():
            self.history.append_string(text)
        self.buffer.reset()
        if get_app().is_running:
            self.buffer.load_history_if_not_yet_loaded()  # Up may come before the next redraw
        return text


class Pastes:
    """The long pastes of a session; the input line shows a placeholder for each paste."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def fold(self, text: str) -> str:
        """Return the text to insert for a paste: a placeholder for a long paste, else the paste."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines <= FOLD_LINES and len(text) <= FOLD_CHARACTERS:
            return text
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        placeholder, number = f"[pasted {size}]", 1
        while self._texts.get(placeholder, text) != text:
            number += 1
            placeholder = f"[pasted {size}, {number}]"
        self._texts[placeholder] = text
        return placeholder

    def unfold(self, text: str) -> str:
        """Return `text` with each placeholder replaced by its paste."""
        return _FOLDED.sub(lambda match: self._texts.get(match[0], match[0]), text)

    def placeholder_length(self, text: str) -> int:
        """Return the length of the placeholder that ends `text`, or 0."""
        for match in _FOLDED.finditer(text):
            if match.end() == len(text) and match[0] in self._texts:
                return len(match[0])
        return 0


class WorkspaceHistory(FileHistory):
    """A `FileHistory` without long texts or repetitions; in memory if the file fails."""

    def append_string(self, string: str) -> None:
        """Add an entry, unless it repeats the last entry."""
        if string.strip() and (not self._loaded_strings or self._loaded_strings[0] != string):
            super().append_string(string)

    def store_string(self, string: str) -> None:
        """Write an entry to the file, unless the entry is long."""
        if len(string) <= _LONGEST_ENTRY:
            try:
                super().store_string(string)
            except OSError:
                return


def open_history(workspace: Path) -> History:
    """Open the history of a workspace; in memory if its folder cannot be created."""
    path = history_file(workspace)
    try:
        private(path.parent)
        if path.exists() and path.stat().st_size > MAX_HISTORY_BYTES:
            newer = path.read_bytes()[-MAX_HISTORY_BYTES // 2 :]
            start = newer.find(b"\n# ")  # an entry begins with a line "# date"
            path.write_bytes(newer[start + 1 :] if start >= 0 else b"")
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return WorkspaceHistory(str(path))


def history_file(workspace: Path) -> Path:
    """Return the path of the file with the history of a workspace."""
    name = hashlib.sha256(os.fsencode(workspace.resolve())).hexdigest()[:16]
    return state_dir() / "history" / f"{name}.txt"


class ChatCompleter(Completer):
    """Completes commands, their arguments and @ mentions. Needs an open chat."""

    def __init__(self, chat: Callable[[], Chat | None]) -> None:
        self._chat = chat

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """Yield completions of the word before the cursor."""
        chat = self._chat()
        if chat is None:
            return
        before = document.text_before_cursor
        if mention := _MENTION.search(before):
            for each in list(chat.complete("@", mention[1]))[:_MAX_COMPLETIONS]:
                yield _completion(f"@{each.text}", -len(mention[1]) - 1, each.detail)
        elif before.startswith("/") and "\n" not in before:
            name, space, arguments = before[1:].partition(" ")
            if not space:
                yield from _commands(chat, name)
            else:
                for each in list(chat.complete(name, arguments))[:_MAX_COMPLETIONS]:
                    yield _completion(each.text, -len(arguments), each.detail)


def completes_while_typing(text: str) -> bool:
    """Return whether completions appear without Tab: only for commands and mentions."""
    command = text.startswith("/") and "\n" not in text and "/" not in text[1:]
    return command or bool(_MENTION.search(text))


def _commands(chat: Chat, typed: str) -> Iterable[Completion]:
    """Return commands that begin with `typed`, or if there are none, that contain it."""
    commands = chat.commands()
    matches = [command for command in commands if command.name.startswith(typed)]
    for command in matches or [command for command in commands if typed in command.name]:
        words = f"{command.arguments}  {command.help}" if command.arguments else command.help
        yield _completion(f"/{command.name}", -len(typed) - 1, words)


def _completion(text: str, start: int, detail: str) -> Completion:
    return Completion(text, start, display=one_line(text, 60), display_meta=one_line(detail, 200))
