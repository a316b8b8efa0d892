"""Draws the outputs of a chat and its questions: text, errors, Markdown, tables, diffs."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from localagent.core.events import Question
from localagent.tools.registry import spec_of
from localagent.ui.chat.interface import Output
from localagent.ui.view.diff import diff_rows, draw_diff, is_diff
from localagent.ui.view.format import count
from localagent.ui.view.reply_stream import AnswerStream
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Hanging, Surface, hanging, indented

_NARROWEST_LAST = 16  # cells of the last column; below that, a table is drawn as a list
# Lines of a diff that a question draws; a command is always drawn whole.
_MAX_DIFF_LINES = 400
_PROMPT_LINES = 6  # lines of a long prompt that are echoed


def draw_output(surface: Surface, item: Output) -> None:
    """Draw the output of a command."""
    if item.title and item.kind != "error":
        surface.line(Text(clean(item.title), style="heading"))
    match item.kind:
        case "line":
            surface.line()
            draw_prompt(surface, item.text)
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
            draw_diff(surface, list(diff_rows(item.text)))
        case "table":
            _draw_table(surface, item.head, item.rows)
        case "text":
            for line in clean(item.text).rstrip("\n").split("\n"):
                # If wrapping would cut a word, the terminal breaks the line, so that copying keeps
                # it whole.
                whole_words = all(cell_len(word) <= surface.width for word in line.split())
                surface.line(Text(line), wrap=whole_words)


def draw_prompt(surface: Surface, prompt: str) -> None:
    """Draw the user's input, or the beginning of a long input."""
    lines = prompt.strip().splitlines() or [""]
    beginning = "\n".join(one_line(line, 400) for line in lines[:_PROMPT_LINES])
    body = Text(beginning, style="strong")
    if len(lines) > _PROMPT_LINES:
        body.append(f"\n... {count(len(lines) - _PROMPT_LINES, 'more line')}", style="faint")
    surface.line(hanging(Text(">", style="strong"), body))


def draw_question(surface: Surface, question: Question) -> None:
    """Draw the command or the change that the user is asked to allow."""
    what = f"may I {verb(question.tool)} {one_line(question.subject)}?"
    body = Text(what, style="warn.strong")
    if question.reason:
        body.append(f" ({one_line(question.reason)})", style="warn")
    surface.line()
    surface.line(hanging(Text("?", style="warn.strong"), body))
    if is_diff(question.preview):
        lines = list(diff_rows(question.preview))
        draw_diff(surface, lines[:_MAX_DIFF_LINES], indent=4)
        if len(lines) > _MAX_DIFF_LINES:
            hidden = count(len(lines) - _MAX_DIFF_LINES, "more line")
            surface.line(Text(f"    ... {hidden} not shown", style="warn"))
        return
    for line in clean(question.preview).rstrip().split("\n"):
        surface.line(Text(f"    {line}"), wrap=False)


def verb(tool: str) -> str:
    """Return the verb for a tool, as in "may I change x.py?"."""
    return spec_of(tool).verb or f"use {one_line(tool)} on"


def _draw_table(surface: Surface, head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    """Draw rows in columns. The last column wraps; columns of numbers are aligned to the right."""
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
        _draw_list(surface, lines[1:] if head else lines)
        return
    right = [_is_numeric(lines[1 if head else 0 :], n) for n in range(columns)]
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


def _draw_list(surface: Surface, rows: list[tuple[str, ...]]) -> None:
    """Draw a table on a narrow terminal: the first cell of each row, and its other cells below."""
    for row in rows:
        surface.line(Text(row[0]))
        for cell in row[1:]:
            if cell:
                surface.line(indented(Text(cell, style="faint"), 4))


def _is_numeric(lines: list[tuple[str, ...]], column: int) -> bool:
    cells = [row[column] for row in lines if row[column]]
    return bool(cells) and all(cell[0].isdigit() and cell[-1] in "0123456789%" for cell in cells)
