"""Streams Markdown: a styled row is returned as soon as later text cannot change it.

It draws paragraphs, headings, lists, quotes, rules, code blocks and tables, and leaves other text
unchanged. The stream keeps only one line, one table, and the lines that the highlighter reads
again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from localagent.ui.view.highlight import Highlighter
from localagent.ui.view.markdown_inline import Inline

# Matches the beginning of a line that may still become something other than a paragraph.
_UNDECIDED = re.compile(
    r"\s*(#{0,6}\s*|[-*_+]{0,3}|\d{1,3}[.)]?|([-*+]|\d{1,3}[.)])\s+(\[.{0,3})?|>\s*|`{1,2}|~{1,2})$"
)
_FENCE = re.compile(r"(\s*)(`{3,}|~{3,})\s*([^`]*)$")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+")
_RULE = re.compile(r"\s{0,3}([-*_])(\s*\1){2,}\s*$")
_ITEM = re.compile(r"(\s*)([-*+]|\d{1,3}[.)])\s+")
_QUOTE = re.compile(r"\s{0,3}(>\s?)+")
_TABLE_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_TASK = {"[ ] ": "☐ ", "[x] ": "☑ ", "[X] ": "☑ "}
_NARROWEST = 8
_MAX_TABLE_ROWS = 200  # a longer table is drawn in several parts
_MAX_INDENT = 12


@dataclass(frozen=True, slots=True)
class MarkdownRow:
    """One row of output; a `whole` row, such as code, is never broken."""

    text: Text
    whole: bool = False


class MarkdownStream:
    """Turns pieces of cleaned text into rows of at most `width` cells; code may be wider."""

    def __init__(self, width: int, *, unicode: bool = True) -> None:
        self.width = max(width, _NARROWEST)
        self._unicode = unicode
        self._line = ""  # the part of the current line that no Inline has taken
        self._inline: Inline | None = None
        self._lead = Text()
        self._hang = Text()
        self._style = ""
        self._code: Highlighter | None = None
        self._fence = ""
        self._margin = 0
        self._table: list[str] = []

    def feed(self, piece: str) -> Iterator[MarkdownRow]:
        """Take the next piece, and yield the rows that it completes."""
        first, *more = piece.split("\n")
        yield from self._add(first)
        for part in more:
            yield from self._end_line()
            yield from self._add(part)

    def close(self) -> Iterator[MarkdownRow]:
        """End the text, and yield the remaining rows."""
        if self._line or self._inline is not None:
            yield from self._end_line()
        yield from self._end_table()

    def partial(self) -> Text:
        """Return the row that is not finished yet."""
        if self._inline is not None:
            return self._with_lead(self._inline.rest())
        return Text(self._line)

    def _add(self, text: str) -> Iterator[MarkdownRow]:
        if not text:
            return
        if self._inline is None:
            self._line += text
            if self._code is not None or self._line.lstrip()[:1] == "|":
                return
            if _UNDECIDED.fullmatch(self._line) or _FENCE.fullmatch(self._line):
                return
            if not self._line.strip():
                return
            yield from self._end_table()
            text = self._begin()
        assert self._inline is not None
        self._inline.add(text)
        yield from self._rows(end=False)

    def _begin(self) -> str:
        """Begin a line of text (no code, table or rule); return the line without block marks."""
        line, self._line, self._inline = self._line, "", Inline()
        lead, self._style = "", ""
        if heading := _HEADING.match(line):
            self._style, line = "heading", line[heading.end() :]
        elif item := _ITEM.match(line):
            sign = item[2] if item[2][0].isdigit() else ("•" if self._unicode else "-")
            lead = f"{' ' * min(len(item[1]), _MAX_INDENT)}{sign} "
            line = line[item.end() :]
            task = _TASK.get(line[:4], "") if self._unicode else ""
            line = f"{task}{line[4:]}" if task else line
        elif quote := _QUOTE.match(line):
            bar = "│ " if self._unicode else "> "
            self._style, line = "faint", line[quote.end() :]
            lead = bar
        elif (indent := len(line) - len(line.lstrip())) and line.strip():
            lead, line = " " * min(indent, _MAX_INDENT), line.lstrip()
        self._lead = Text(lead, style="faint" if self._style == "faint" else "")
        self._hang = self._lead if self._style == "faint" else Text(" " * cell_len(lead))
        return line

    def _rows(self, *, end: bool) -> Iterator[MarkdownRow]:
        assert self._inline is not None
        room = max(self.width - self._lead.cell_len, _NARROWEST)
        for row in self._inline.rows(room, end=end):
            yield MarkdownRow(self._with_lead(row))
            self._lead = self._hang

    def _with_lead(self, text: Text) -> Text:
        body = Text(style=self._style).append_text(text) if self._style else text
        return Text.assemble(self._lead, body)

    def _end_line(self) -> Iterator[MarkdownRow]:
        line, fence = self._line, _FENCE.fullmatch(self._line)
        if self._inline is not None:
            yield from self._rows(end=True)
            self._inline = None
        elif self._code is not None:
            self._line = ""
            if fence and fence[2].startswith(self._fence) and not fence[3].strip():
                self._code = None
                return
            margin = min(self._margin, len(line) - len(line.lstrip(" ")))
            yield MarkdownRow(self._code.line(line[margin:]), whole=True)
        elif line.lstrip()[:1] == "|":
            self._line = ""
            self._table.append(line)
            if len(self._table) >= _MAX_TABLE_ROWS:
                yield from self._end_table()
        else:
            yield from self._end_table()
            if fence:
                self._line = ""
                self._code, self._fence = Highlighter(fence[3]), fence[2]
                self._margin = len(fence[1])
            elif _RULE.fullmatch(line):
                self._line = ""
                yield MarkdownRow(
                    Text(("─" if self._unicode else "-") * min(self.width, 40), "faint")
                )
            elif not line.strip():
                self._line = ""
                yield MarkdownRow(Text())
            else:
                text = self._begin()
                assert self._inline is not None
                self._inline.add(text)
                yield from self._rows(end=True)
                self._inline = None

    def _end_table(self) -> Iterator[MarkdownRow]:
        lines, self._table = self._table, []
        if lines:
            yield from _table(lines, self.width)


def _table(lines: list[str], width: int) -> Iterator[MarkdownRow]:
    """Draw the table in columns, or as lines "name: value" if it is wider than the terminal."""
    has_head = len(lines) > 1 and bool(_TABLE_RULE.match(lines[1]))
    rows = [_cells(line) for line in lines if not _TABLE_RULE.match(line)]
    columns = max((len(row) for row in rows), default=0)
    rows = [row + [Text()] * (columns - len(row)) for row in rows]
    widths = [max(row[n].cell_len for row in rows) for n in range(columns)]
    if sum(widths) + 2 * (columns - 1) > width:
        yield from _as_list(rows, width, has_head=has_head)
        return
    for number, row in enumerate(rows):
        text = Text()
        for n, cell in enumerate(row):
            if has_head and number == 0:
                cell.stylize("strong")
            text.append_text(cell)
            if n + 1 < columns:
                text.append(" " * (widths[n] - cell.cell_len + 2))
        text.rstrip()
        yield MarkdownRow(text)


def _as_list(rows: list[list[Text]], width: int, *, has_head: bool) -> Iterator[MarkdownRow]:
    head = rows[0] if has_head and len(rows) > 1 else []
    for row in rows[1:] if head else rows:
        for n, cell in enumerate(row):
            name = f"{head[n].plain}: " if head and head[n].plain else ""
            if cell.plain or name:
                line = Inline(f"{name}{cell.plain}")
                lead = "- " if n == 0 else "  "
                for text in line.rows(max(width - 2, _NARROWEST), end=True):
                    yield MarkdownRow(Text(lead).append_text(text))
                    lead = "  "


def _cells(line: str) -> list[Text]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    parts = re.split(r"(?<!\\)\|", inner)
    return [Inline(part.strip()).rest() for part in parts]
