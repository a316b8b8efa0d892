"""The lines that the user enters while something runs."""

from __future__ import annotations

import threading
from collections import deque


class Queue:
    """Lines in the order in which they were entered; from any thread."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._lines)

    def put(self, line: str) -> None:
        """Take a line; one without anything in it is not kept."""
        if line.strip():
            with self._guard:
                self._lines.append(line)

    def take(self) -> str | None:
        """The first line, which is then carried out; None where none waits."""
        with self._guard:
            return self._lines.popleft() if self._lines else None

    def take_said(self) -> list[str]:
        """The first lines as far as they say something to the model: a command ends them, as it is
        to be carried out before what comes after it."""
        taken: list[str] = []
        with self._guard:
            while self._lines and not self._lines[0].lstrip().startswith(("/", "!")):
                taken.append(self._lines.popleft().strip())
        return taken

    def take_all(self) -> list[str]:
        """All lines."""
        with self._guard:
            taken = list(self._lines)
            self._lines.clear()
        return taken
