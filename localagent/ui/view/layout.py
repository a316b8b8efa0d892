"""Small layouts: text that hangs behind a sign or a label, without spaces at the ends of lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_NARROWEST = 8  # columns that a text gets even where its label leaves none


@dataclass(frozen=True, slots=True)
class Hanging:
    """`lead`, then `body`, whose further lines begin below its first. Draws itself with rich."""

    lead: Text
    body: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, for rich."""
        margin = cell_len(self.lead.plain)
        width = max(options.max_width - margin, _NARROWEST)
        for number, line in enumerate(self.body.wrap(console, width, overflow="fold")):
            line.rstrip()
            lead = Text(" " * margin) if number else self.lead
            yield Text.assemble(lead, line, no_wrap=True, overflow="ignore")


def hanging(sign: Text, body: Text) -> Hanging:
    """`sign`, a space, and `body` hanging behind them."""
    return Hanging(sign + Text(" "), body)


def indented(body: Text, by: int) -> Hanging:
    """`body`, `by` columns to the right."""
    return Hanging(Text(" " * by), body)


def labelled(rows: Sequence[tuple[str, Text]], *, indent: int = 2) -> list[Hanging]:
    """Rows of a dim label and a text that hangs beside it."""
    width = max(len(label) for label, _ in rows)
    return [
        Hanging(Text.assemble(" " * indent, (f"{label:<{width}}", "faint"), "  "), text)
        for label, text in rows
    ]
