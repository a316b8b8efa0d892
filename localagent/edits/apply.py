"""Carrying out edits: the whole file, one definition, or search and replace.

All of it is pure: text in, text out, EditError where an edit does not fit. Nobody's file is
touched here.
"""

from __future__ import annotations

from localagent.core.errors import EditError
from localagent.edits.omissions import elided_line
from localagent.edits.python_definitions import replace_function
from localagent.edits.search_replace import apply_search_replace
from localagent.edits.textfile import TextFile, encode, with_text

__all__ = ["apply_search_replace", "replace_file", "replace_function"]


def replace_file(old: TextFile | None, new_text: str) -> TextFile:
    """The file with all of its text replaced, stored as the old one was (None: a new file).

    Raises EditError where the new text leaves code out ("# ... existing code ..."), where it
    changes nothing, and where the file's encoding lacks a character.
    """
    elided = elided_line(new_text, old.text if old else "")
    if elided is not None:
        number, line = elided
        raise EditError(
            f"line {number} stands for code that was left out ({line.strip()[:60]!r}); "
            "write the whole content"
        )
    new = with_text(old or TextFile(""), new_text)
    if old is not None and new == old:
        raise EditError("the edit changes nothing: the file has this content already")
    encode(new)
    return new
