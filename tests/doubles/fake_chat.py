"""A chat without a session, for unit tests of the terminal: its items are given, its calls kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from localagent.core.events import Answer, Question, TurnStarted
from localagent.ui.chat.interface import (
    CommandInfo,
    Completion,
    Item,
    Output,
    RewindPreview,
    SessionStatus,
)

STATUS = SessionStatus("toy", "cpu", "react", "ask", 0, 100, 0.0, 0, "none", False, "", "", 0.0)
QUESTION = Question(1, "shell", "touch made.txt", "$ touch made.txt", "commands need your consent")


class FakeChat:
    """Answers each line with the next list of items; without a list it says "you said LINE"."""

    def __init__(self, *answers: Iterable[Item] | Callable[[], Iterator[Item]]) -> None:
        self._answers = list(answers)
        self.lines: list[str] = []
        self.steered: list[str] = []
        self.answers: list[Answer] = []
        self.results: list[str | None] = []
        self.changed: tuple[str, ...] = ()
        """The files that the last turn changed."""
        self.remembered: tuple[str, ...] = ("run touch made.txt",)
        self.cancelled = threading.Event()
        self.closed = False
        self.mode = "ask"
        self.turns = 0

    def submit(self, line: str) -> Iterator[Item]:
        self.lines.append(line)
        self.turns += 1
        self.cancelled.clear()
        yield TurnStarted(self.turns, line.strip())
        answer = self._answers.pop(0) if self._answers else [Output("text", f"you said {line}")]
        yield from answer() if callable(answer) else answer

    def until_cancelled(self) -> Iterator[Item]:
        """Items of a turn that lasts until Ctrl-C."""
        yield Output("text", "it goes on")
        assert self.cancelled.wait(20)
        yield Output("text", "interrupted")

    def answer(self, _question: int, answer: Answer) -> None:
        self.answers.append(answer)

    def remembers(self, _question: int) -> tuple[str, ...]:
        return self.remembered

    def resolve(self, _request: int, value: str | None) -> None:
        self.results.append(value)

    def steer(self, line: str) -> None:
        self.steered.append(line)

    def take_queued(self) -> list[str]:
        lines, self.steered = self.steered, []
        return lines

    def cancel(self) -> None:
        self.cancelled.set()

    def rewind_preview(self) -> RewindPreview:
        return RewindPreview(self.turns, self.lines[-1], self.changed)

    def rewind(self) -> str:
        return self.lines.pop()

    def cycle_mode(self) -> str:
        self.mode = "auto-edit"
        return self.mode

    def status(self) -> SessionStatus:
        queued = len(self.steered)
        return replace(STATUS, mode=self.mode, queued=queued, session="a-session")  # type: ignore[arg-type]

    def commands(self) -> list[CommandInfo]:
        names = ("help", "undo", "redo")
        return [CommandInfo(name, "[TURN]" if "do" in name else "", f"{name} it") for name in names]

    def complete(self, command: str, text: str) -> list[Completion]:
        files = [Completion("calc.py"), Completion("calc_test.py", "tests")]
        return files if command == "@" and "calc".startswith(text) else []

    def warm_up(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
