"""What commands show to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Output:
    """Something for the user alone: it is neither recorded nor shown to the model.

    `text` is plain for "text", "note" (dim) and "error", CommonMark for "markdown", and unified for
    "diff". A "table" has `rows`, below `head` where that is not empty; numbers are formatted.
    `title` stands above; `hint` below an error says what to do. Whoever prints it removes control
    characters.
    """

    kind: Literal["text", "note", "error", "markdown", "table", "diff"]
    text: str = ""
    title: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    hint: str = ""
