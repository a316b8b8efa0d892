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
    """A file that answers a query, best first by `score`; `reasons` say why, for people."""

    path: str
    score: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a file, of lines `line` to `end_line`; `name` is the definition's, or "".
    `reasons` say why its file was found, for people."""

    path: str
    name: str
    line: int
    end_line: int
    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """A line that uses a name, or has a text. `role` is "call", "import" or "mention"; `owner` is
    the definition that the line is in, or ""; `text` is the line, clipped."""

    path: str
    line: int
    role: str
    owner: str
    text: str


class Index(Protocol):
    """Finds files and symbols of one workspace."""

    def refresh(self) -> None:
        """Take notice of what changed on disk."""

    def ready(self) -> bool:
        """Whether everything was looked at once; until then `refresh` can lead to more."""

    def notice(self) -> str:
        """What the user should know where not everything is found, or ""."""

    def close(self) -> None:
        """Stop; nothing is asked any more."""

    def files(self) -> Sequence[str]:
        """All text files that may be shown to the model, sorted."""

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file, in the order of their lines."""

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name (its last part counts)."""

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`: a task, an error message, identifiers."""

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces of files that best answer `query`, best first."""

    def may_have(self, pattern: str, files: Sequence[str], *, regex: bool) -> Sequence[str]:
        """Those of `files` in which `pattern` may be, in any case; a file that changed since the
        index was brought up to date may always have it."""

    def callers(self, name: str, limit: int = 20) -> Sequence[Reference]:
        """Where a function is called, or an object of a class is made; tests last."""

    def imports(self, path: str) -> Sequence[str]:
        """The files of the workspace that a file imports, in the order of its lines."""

    def tests_for(self, path: str) -> Sequence[str]:
        """The tests of a file, the likeliest first."""
