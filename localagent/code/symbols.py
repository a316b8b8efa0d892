"""The definitions of a source file, in the form that the index and the excerpts use.

All definitions come from the grammar of the file's language (`code/structure`). Only edits of
Python also use `ast` (`edits/python_definitions`), because they need the exact columns of
decorators, nested functions and statements.
"""

from __future__ import annotations

from dataclasses import dataclass

from localagent.code.structure import CALLABLE, Structure


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: a function, method, class or the like.

    `name` is qualified ("Stack.push"). Lines count from 1, and `end_line` is included. `summary` is
    the first line of the docstring or comment; "" if the symbol comes from the index.
    """

    name: str
    kind: str
    path: str
    line: int
    end_line: int
    signature: str
    summary: str = ""

    @property
    def is_callable(self) -> bool:
        """Whether the definition contains statements: a function, a method, a macro."""
        return self.kind in CALLABLE

    @property
    def last(self) -> str:
        """The symbol's name without its qualifiers."""
        return self.name.rsplit(".", 1)[-1]


def symbols(path: str, structure: Structure | None) -> list[Symbol]:
    """The definitions of the file at `path`, in the order of their lines.

    Functions inside functions are left out. Empty if the structure is unknown.
    """
    return [
        Symbol(d.name, d.kind, path, d.line, d.end_line, d.signature, d.summary)
        for d in (structure.definitions if structure else ())
    ]
