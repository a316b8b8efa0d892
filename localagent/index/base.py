"""The `Index` protocol: how the agent finds code.

Paths are relative to the workspace, with `/`; lines count from 1 and ends are inclusive. Nothing
that .gitignore or the secret rules exclude is ever returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localagent.code.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Hit:
    """A file that answers a query, with its score; `reasons` explain it to the user."""

    path: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines `line` to `end_line` of a file that answers a query.

    `name` is the definition they belong to, or "". `reasons` explain the file to the user.
    """

    path: str
    name: str
    line: int
    end_line: int
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A line that uses a name, or contains a text.

    `role` is "call", "import" or "mention". `owner` is the definition around the line, or "".
    `text` is the line, clipped.
    """

    path: str
    line: int
    role: str
    owner: str
    text: str


class Index(Protocol):
    """Finds files and symbols of one workspace."""

    def refresh(self) -> None:
        """Read what changed on disk."""

    def ready(self) -> bool:
        """Whether the index is complete; until then `refresh` can add more."""

    def warning(self) -> str:
        """A message for the user while the index is incomplete, or ""."""

    def close(self) -> None:
        """Release the index; no method may be called afterwards."""

    def files(self) -> Sequence[str]:
        """All text files that may be shown to the model, sorted."""

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file, in the order of their lines."""

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name, by its last part."""

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`: a task, an error message, identifiers."""

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces of files that best answer `query`, best first."""

    def may_have(self, pattern: str, files: Sequence[str], *, regex: bool) -> Sequence[str]:
        """The files that may contain `pattern`, in upper or lower case.

        Files that changed since the last refresh are always among them.
        """

    def callers(self, name: str, limit: int = 20) -> Sequence[Reference]:
        """The calls of a function or class, tests last."""

    def imports(self, path: str) -> Sequence[str]:
        """The files of the workspace that a file imports, in the order of its lines."""

    def tests_for(self, path: str) -> Sequence[str]:
        """The tests of a file, the most likely first."""
