"""Long pasted texts, folded to a mark in the input and put back when it is sent."""

from __future__ import annotations

import re

FOLD_LINES = 12
FOLD_CHARACTERS = 2000
_MARK = re.compile(r"\[pasted [^\[\]\n]*\]")


class Pastes:
    """The texts behind the marks of this session, by mark."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def fold(self, text: str) -> str:
        """What stands in the input for a pasted `text`: itself, or a mark where it is long."""
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + (not text.endswith("\n"))
        if lines <= FOLD_LINES and len(text) <= FOLD_CHARACTERS:
            return text
        size = f"{lines:,} lines" if lines > 1 else f"{len(text):,} characters"
        mark, number = f"[pasted {size}]", 1
        while self._texts.get(mark, text) != text:
            number += 1
            mark = f"[pasted {size}, {number}]"
        self._texts[mark] = text
        return mark

    def unfold(self, text: str) -> str:
        """`text` with what was pasted in the place of each mark."""
        return _MARK.sub(lambda found: self._texts.get(found[0], found[0]), text)

    def mark_before(self, text: str) -> int:
        """The length of the mark that `text` ends with, or 0: a mark is deleted whole."""
        for found in _MARK.finditer(text):
            if found.end() == len(text) and found[0] in self._texts:
                return len(found[0])
        return 0
