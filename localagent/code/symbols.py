"""A definition in a source file, as the index and the outline give it."""

from __future__ import annotations

from dataclasses import dataclass

from localagent.code.structure import CALLABLE


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: a function, method, class or the like. `name` is qualified ("Stack.push").
    `summary` is the first line of what documents it, where it was read from the file itself."""

    name: str
    kind: str
    path: str
    line: int
    end_line: int
    signature: str
    summary: str = ""

    @property
    def is_callable(self) -> bool:
        """Whether it holds statements: a function, a method, a macro."""
        return self.kind in CALLABLE

    @property
    def last(self) -> str:
        """Its name without what it is qualified by."""
        return self.name.rsplit(".", 1)[-1]
