"""What commands of an interactive session show: text, remarks, errors, Markdown, tables, diffs."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from localagent.ui.chat.interface import Output
from localagent.ui.view.diff import drawn
from localagent.ui.view.layout import Hanging, hanging, indented
from localagent.ui.view.reply_stream import AnswerStream
from localagent.ui.view.sanitize import clean
from localagent.ui.view.screen import Surface

_NARROWEST_LAST = 16  # cells; a table that leaves its last column less is drawn as a list


def draw_output(surface: Surface, item: Output) -> None:
    """Draw one item."""
    if item.title and item.kind != "error":
        surface.line(Text(clean(item.title), style="heading"))
    match item.kind:
        case "error":
            sign = Text(surface.symbols.bad, style="bad")
            surface.line(hanging(sign, Text(clean(item.text), style="bad")))
            if item.hint:
                surface.line(indented(Text(clean(item.hint)), 2))
        case "note":
            surface.line(Text(clean(item.text), style="faint"))
        case "markdown":
            answer = AnswerStream(surface)
            answer.feed(item.text)
            answer.end()
        case "diff":
            for row in drawn(item.text):
                surface.line(row, wrap=False)
        case "table":
            draw_table(surface, item.head, item.rows)
        case "text":
            for line in clean(item.text).rstrip("\n").split("\n"):
                surface.line(Text(line), wrap=_fits(line, surface.width))


def _fits(line: str, width: int) -> bool:
    """Whether no word of a line would be cut; one that would is left to the terminal, which joins
    it again when it is copied."""
    return all(cell_len(word) <= width for word in line.split())


def draw_table(surface: Surface, head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Draw rows in columns; the last column hangs, and numbers stand to the right."""
    lines = [
        tuple(clean(cell).strip() for cell in row) for row in ((head, *rows) if head else rows)
    ]
    columns = max((len(row) for row in lines), default=0)
    if not columns:
        return
    lines = [row + ("",) * (columns - len(row)) for row in lines]
    widths = [max(cell_len(row[n]) for row in lines) for n in range(columns)]
    lead_width = sum(widths[:-1]) + 2 * columns
    if surface.width - lead_width < min(_NARROWEST_LAST, widths[-1]):
        _draw_list(surface, lines, has_head=bool(head))
        return
    right = [_numbers(lines[1 if head else 0 :], n) for n in range(columns)]
    for number, row in enumerate(lines):
        style = "strong" if head and number == 0 else ""
        lead = Text("  ")
        for n, cell in enumerate(row[:-1]):
            room = " " * (widths[n] - cell_len(cell))
            lead.append(f"{room}{cell}  " if right[n] else f"{cell}{room}  ", style=style)
        last = Text(row[-1], style=style)
        if right[-1]:
            last = Text(" " * (widths[-1] - last.cell_len)).append_text(last)
        if last.plain:
            surface.line(Hanging(lead, last))
        else:
            lead.rstrip()
            surface.line(lead, wrap=False)


def _draw_list(surface: Surface, lines: list[tuple[str, ...]], *, has_head: bool) -> None:
    """A table on a narrow terminal: each row's first cell, the others below it."""
    for row in lines[1:] if has_head else lines:
        surface.line(Text(row[0]))
        for cell in row[1:]:
            if cell:
                surface.line(indented(Text(cell, style="faint"), 4))


def _numbers(lines: list[tuple[str, ...]], column: int) -> bool:
    cells = [row[column] for row in lines if row[column]]
    return bool(cells) and all(cell[0].isdigit() and cell[-1] in "0123456789%" for cell in cells)
