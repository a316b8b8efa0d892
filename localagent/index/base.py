"""The `Index` protocol, through which the agent finds code.

Paths are relative to the workspace and use `/`. Lines count from 1, and a range includes its last
line. An index never returns a file that .gitignore or the secret rules exclude.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localagent.code.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that answers a query, with its score; `reasons` tell the user why it was chosen."""

    path: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines `line` to `end_line` of a file that answers a query.

    `name` is the definition that contains the lines, or "". `reasons` tell the user why the file
    was chosen.
    """

    path: str
    name: str
    line: int
    end_line: int
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A line that uses a name or contains a text.

    `role` is "call", "import" or "mention". `owner` is the definition around the line, or "".
    `text` is the text of the line, clipped.
    """

    path: str
    line: int
    role: str
    owner: str
    text: str


class Index(Protocol):
    """Finds files and symbols of one workspace."""

    def refresh(self) -> None:
        """Update the index with the files that changed on disk."""

    def ready(self) -> bool:
        """Whether the index is complete; until then, `refresh` can add more files."""

    def warning(self) -> str:
        """A message for the user while the index is incomplete, or ""."""

    def close(self) -> None:
        """Release the index; no other method may be called afterwards."""

    def files(self) -> Sequence[str]:
        """All text files that the model may read, sorted."""

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file, in the order of their lines."""

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions whose unqualified name is the last part of `name`."""

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`: a task, an error message, identifiers."""

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces of files that best answer `query`, best first."""

    def may_have(self, pattern: str, files: Sequence[str], *, regex: bool) -> Sequence[str]:
        """The files that may contain `pattern`, whatever the case of letters.

        The result always includes the files that changed since the last refresh.
        """

    def callers(self, name: str, limit: int = 20) -> Sequence[Reference]:
        """The calls of a function or class; calls in tests come last."""

    def imports(self, path: str) -> Sequence[str]:
        """The files of the workspace that a file imports, in the order of its lines."""

    def tests_for(self, path: str) -> Sequence[str]:
        """The tests of a file, the most likely first."""
