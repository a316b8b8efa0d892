"""The outputs that commands show to the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Output:
    """An output for the user only: it is neither recorded nor shown to the model.

    "line" is a line of the user that waited, and runs now. `text` is plain for "text", "note"
    (dim) and "error", CommonMark for "markdown", and unified for "diff". A "table" has `rows`, and
    a row of headings if `head` is not empty; its numbers are formatted already. `title` is printed
    above the output; `hint`, printed below an error, says what to do. The printer of an output
    removes control characters.
    """

    kind: Literal["line", "text", "note", "error", "markdown", "table", "diff"]
    text: str = ""
    title: str = ""
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    hint: str = ""
