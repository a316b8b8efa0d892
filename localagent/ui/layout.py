"""Small layouts: indented text, and text that hangs behind a sign or a label."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def indented(item: RenderableType, by: int) -> RenderableType:
    """`item`, `by` columns to the right."""
    return Padding(item, (0, 0, 0, by), expand=False)


def hanging(sign: Text, body: Text, *, indent: int = 0) -> RenderableType:
    """`sign`, a space and `body`, whose further lines begin below its first."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(sign, body)
    return indented(grid, indent) if indent else grid


def labelled(rows: Sequence[tuple[str, Text]], *, indent: int = 2) -> RenderableType:
    """Rows of a dim label and a text that wraps beside it."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, text)
    return indented(grid, indent)
