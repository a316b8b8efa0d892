"""Markdown inside a line (`code`, **bold**, *italic*, ~~strike~~, links), broken into rows.

A mark styles the text after it at once, before the closing mark arrives. So the first rows of a
long paragraph can be printed while the model writes the rest. A mark that is never closed ends with
its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

_LINK = re.compile(r"!?\[([^\][\n]{1,400})\]\(<?([^()\s<>]{1,1000})>?\)")
# "_" and "__" are not marks here, because in text about code they are parts of names.
_STYLES = {"**": "strong", "*": "italic", "~~": "strike"}
# Matches the end of a text if later text may change the meaning of that end.
_UNDECIDED = re.compile(r"(!?\[[^\][\n]{0,400}(\](\([^()\s]{0,1000})?)?|[*~`\\!]+)$")
_ESCAPABLE = "\\`*_{}[]()#+-.!>~|<"
_WORD = re.compile(r"\s*\S+|\s+")


@dataclass
class Inline:
    """One line of Markdown that arrives in pieces; `raw` is the text not yet returned as rows."""

    raw: str = ""
    _open: list[str] = field(default_factory=list)

    def add(self, piece: str) -> None:
        """Take the next piece of the line; the piece has no line breaks."""
        self.raw += piece

    def rows(self, width: int, *, end: bool) -> list[Text]:
        """Remove and return the complete rows, at most `width` cells wide.

        With `end`, the line is complete, so its last row is returned, too.
        """
        tail = None if end else _UNDECIDED.search(self.raw)
        ready = self.raw[: tail.start()] if tail else self.raw
        if not end and cell_len(ready) <= width:
            return []
        text, places = self._read(ready, list(self._open))
        starts = list(_breaks(text.plain, width))
        rows = _cut(text, starts)
        if end:
            self.raw, self._open = "", []
            return rows
        if len(starts) < 2:
            return []
        place, rest, self._open = places[starts[-1]]
        self.raw = rest + self.raw[place:]  # the undecided tail lies behind all places
        return rows[:-1]

    def rest(self) -> Text:
        """Return the styled text that is not yet part of a complete row."""
        return self._read(self.raw, list(self._open))[0]

    @staticmethod
    def _read(raw: str, open_marks: list[str]) -> tuple[Text, list[tuple[int, str, list[str]]]]:
        """Return the styled text of `raw`, and for each character a place to resume reading.

        A place has an offset in `raw`, a text to put before `raw[offset:]`, and the open marks.
        """
        text = Text()
        places: list[tuple[int, str, list[str]]] = []
        at = 0
        for end, piece, style, marks_after in _pieces(raw, open_marks):
            for number in range(len(piece)):
                if number and end - at != len(piece):  # inside a link: its rest is text
                    places.append((end, piece[number:], open_marks))
                else:
                    places.append((at + number, "", open_marks))
            text.append(piece, style=style)
            at, open_marks = end, marks_after
        places.append((at, "", open_marks))
        return text, places


def _pieces(raw: str, marks: list[str]) -> Iterator[tuple[int, str, str, list[str]]]:
    """Yield each piece's end in `raw`, its visible text, its style, and the marks open after it."""
    at = 0
    while at < len(raw):
        if marks and marks[-1].startswith("`"):
            tick = marks[-1]
            close = raw.find(tick, at)
            until = len(raw) if close < 0 else close
            if until > at:
                yield until, raw[at:until], "code", marks
            marks = marks if close < 0 else marks[:-1]
            at = until if close < 0 else close + len(tick)
            yield at, "", "", marks
            continue
        sign = raw[at]
        if sign == "\\" and raw[at + 1 : at + 2] and raw[at + 1] in _ESCAPABLE:
            yield at + 2, raw[at + 1], _style(marks), marks
            at += 2
        elif sign == "`":
            run = re.match(r"`+", raw[at:])
            assert run is not None
            marks = [*marks, run[0]]
            at += len(run[0])
            yield at, "", "", marks
        elif sign in "![" and (link := _LINK.match(raw, at)):
            label, target = link[1], link[2]
            if target != label and not target.startswith("#"):
                label = f"{label} ({target})"
            at = link.end()
            yield at, label, "link", marks
        elif sign in "*~" and (mark := _mark(raw, at, marks)):
            if mark in marks:
                marks = marks[: marks.index(mark)]
            else:
                marks = [*marks, mark]
            at += len(mark)
            yield at, "", "", marks
        else:
            plain = re.match(r"[^\\`!\[*~]+", raw[at:])
            until = at + (len(plain[0]) if plain else 1)
            yield until, raw[at:until], _style(marks), marks
            at = until


def _style(marks: list[str]) -> str:
    return _STYLES[marks[-1]] if marks else ""


def _mark(raw: str, at: int, marks: list[str]) -> str:
    """Return the mark that opens or closes at the offset `at`, or ""."""
    double, single = raw[at : at + 2], raw[at]
    mark = double if double in _STYLES else single if single in _STYLES else ""
    if not mark:
        return ""
    before = raw[at - 1] if at else " "
    after = raw[at + len(mark) : at + len(mark) + 1]
    if mark in marks:
        return "" if before.isspace() else mark
    opens = bool(after) and not after.isspace() and not before.isalnum() and after != single
    return mark if opens else ""


def _breaks(plain: str, width: int) -> Iterator[int]:
    """Yield the offsets where rows begin: at words, and inside words longer than a row."""
    yield 0
    used = 0
    for word in _WORD.finditer(plain):
        cells = cell_len(word[0])
        if used and used + cells > width:
            start = word.end() - len(word[0].lstrip())
            yield start
            cells, used = cell_len(plain[start : word.end()]), 0
        else:
            start = word.start()
        if cells > width:  # a word alone in its row
            row = 0
            for place in range(start, word.end()):
                cells = cell_len(plain[place])
                if row + cells > width:
                    yield place
                    row = 0
                row += cells
            used = row
        else:
            used += cells


def _cut(text: Text, starts: list[int]) -> list[Text]:
    rows = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text.plain)], strict=True)]
    for row in rows:
        row.rstrip()
    return rows
