"""What stands at the bottom of the terminal, from top to bottom:

the row that moves: a status, or what is being written
lines that wait for their turn
the input line, or in its place a question, a list, a line beside
completions
the status line
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_completions, is_searching
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    SearchBufferControl,
    Window,
)
from prompt_toolkit.layout.processors import (
    BeforeInput,
    HighlightIncrementalSearchProcessor,
    Processor,
)
from rich.cells import cell_len
from rich.text import Text

from localagent.ui.tui.output import fragments
from localagent.ui.tui.print_queue import Outbox
from localagent.ui.tui.state import State
from localagent.ui.view.format import count
from localagent.ui.view.layout import hanging, labelled
from localagent.ui.view.sanitize import one_line
from localagent.ui.view.screen import Surface

_LINES = (
    ("Enter", "sends; Alt-Enter adds a line; @ names a file; /help lists the commands"),
    ("Ctrl-C", "stops the model; /undo, or Esc Esc, takes back what it did; Ctrl-D leaves"),
    ("y n", "answer when a change or command is asked for; Shift-Tab: how much is asked"),
    ("/model", "changes the model; !command runs one in the sandbox; Ctrl-O: the last output"),
)
_SHORT = (
    ("Enter", "sends; /help has more"),
    ("Ctrl-C", "stops; /undo takes back"),
    ("y n", "answer what is asked"),
    ("/model", "another model"),
    ("Ctrl-D", "leaves"),
)
_ROOM = 86  # cells that the longer lines need


def draw_welcome(surface: Surface, version: str, workspace: Path) -> None:
    """Draw the first screen."""
    home = str(Path.home())
    place = str(workspace)
    if place == home or place.startswith(f"{home}/"):
        place = f"~{place[len(home) :]}"
    lead = f"localagent {version}"
    room = max(surface.width - len(lead) - 5, 8)
    name = Text.assemble((lead, "strong"), "  ", (_ending(one_line(place, 500), room), "faint"))
    surface.line(hanging(Text(surface.symbols.step, "mark"), name))
    lines = _LINES if surface.width >= _ROOM else _SHORT
    for row in labelled([(key, Text(text, style="faint")) for key, text in lines]):
        surface.line(row)


def _ending(path: str, room: int) -> str:
    """The end of a path, in `room` cells, as a rule beginning with a whole name."""
    if cell_len(path) <= room:
        return path
    names = path.split("/")
    while len(names) > 1 and cell_len("/".join(("...", *names))) > room:
        del names[0]
    short = "/".join(("...", *names))
    return short if cell_len(short) <= room else f"...{path[3 - room :]}"


MAX_INPUT_ROWS = 12
MAX_COMPLETIONS = 8
MAX_QUEUED = 3


class Drawn(Protocol):
    """What the view draws."""

    outbox: Outbox
    state: State

    def live_row(self) -> Text:
        """What goes on now."""

    def status_text(self) -> Text:
        """The status line."""


class View:
    """The layout and its windows. `local` gives the key bindings of each place in the way of the
    input: "asking", "picking", "aside"."""

    def __init__(
        self,
        drawn: Drawn,
        buffer: Buffer,
        aside: Buffer,
        local: Callable[[str], KeyBindingsBase],
    ) -> None:
        self._drawn = drawn
        self._state = drawn.state
        self.search = Buffer(name="search")
        search_control = SearchBufferControl(
            self.search, input_processors=[BeforeInput("search: ")], ignore_case=True
        )
        processors: list[Processor] = [HighlightIncrementalSearchProcessor()]
        self.input = Window(
            BufferControl(
                buffer, search_buffer_control=search_control, input_processors=processors
            ),
            height=Dimension(min=1, max=MAX_INPUT_ROWS),
            dont_extend_height=True,
            wrap_lines=True,
            get_line_prefix=_input_prefix,
        )
        self.aside = Window(
            BufferControl(aside, key_bindings=local("aside")),
            height=Dimension(min=1, max=MAX_INPUT_ROWS),
            dont_extend_height=True,
            wrap_lines=True,
            get_line_prefix=self._aside_prefix,
        )
        self.asking = self._rows(self._asking_rows, local("asking"))
        self.picking = self._rows(self._picking_rows, local("picking"))
        asking = Condition(lambda: self._state.asking is not None and self._state.aside is None)
        aside_open = Condition(lambda: self._state.aside is not None)
        picking = Condition(lambda: self._state.picking is not None)
        free = ~asking & ~aside_open & ~picking
        self._buffer = buffer
        self.layout = Layout(
            HSplit(
                [
                    self._rows(self._live_row, height=1),
                    ConditionalContainer(
                        self._rows(self._queued_rows), Condition(lambda: bool(self._state.steered))
                    ),
                    ConditionalContainer(self.asking, asking),
                    ConditionalContainer(self.aside, aside_open),
                    ConditionalContainer(self.picking, picking),
                    ConditionalContainer(self.input, free),
                    ConditionalContainer(
                        Window(search_control, height=1, dont_extend_height=True), is_searching
                    ),
                    ConditionalContainer(
                        self._rows(self._completion_rows), has_completions & free & ~is_searching
                    ),
                    self._rows(self._status_row, height=1),
                ]
            ),
            focused_element=self.input,
        )

    def _rows(
        self,
        rows: Callable[[], list[Text]],
        bindings: KeyBindingsBase | None = None,
        height: int | None = None,
    ) -> Window:
        """A window of rows that are drawn anew each time; with `bindings` it takes keys."""

        def drawn() -> StyleAndTextTuples:
            found: StyleAndTextTuples = []
            console = self._drawn.outbox.console()
            whole = [part for row in rows() for part in row.wrap(console, console.width)]
            for number, row in enumerate(whole):
                row.rstrip()
                if number:
                    found.append(("", "\n"))
                found.extend(fragments(row, console))
            return found

        control = FormattedTextControl(
            drawn, focusable=bindings is not None, key_bindings=bindings, show_cursor=False
        )
        return Window(control, height=height, dont_extend_height=True)

    def _live_row(self) -> list[Text]:
        return [self._drawn.live_row()]

    def _queued_rows(self) -> list[Text]:
        waiting = self._state.steered
        width = max(self._drawn.outbox.width - 10, 10)
        rows = [Text(f"  then: {one_line(line, width)}", "faint") for line in waiting[:MAX_QUEUED]]
        if len(waiting) > MAX_QUEUED:
            rows.append(Text(f"  and {count(len(waiting) - MAX_QUEUED, 'more line')}", "faint"))
        return rows

    def _asking_rows(self) -> list[Text]:
        return self._state.asking.rows() if self._state.asking else []

    def _picking_rows(self) -> list[Text]:
        picking = self._state.picking
        return picking.rows(self._drawn.outbox.symbols) if picking else []

    def _completion_rows(self) -> list[Text]:
        state = self._buffer.complete_state
        if state is None:
            return []
        at = state.complete_index
        total = len(state.completions)
        first = min(max((at or 0) - MAX_COMPLETIONS // 2, 0), max(total - MAX_COMPLETIONS, 0))
        shown = state.completions[first : first + MAX_COMPLETIONS]
        names = max(len(each.display_text) for each in shown)
        width = self._drawn.outbox.width
        rows = []
        for number, each in enumerate(shown, first):
            style = "mark.strong" if number == at else ""
            row = Text(f"  {each.display_text:<{names}}", style=style)
            row.append(f"  {each.display_meta_text}", style=style or "faint")
            row.truncate(max(width - 1, 8))
            rows.append(row)
        if total > len(shown):
            rows.append(Text(f"  {total - len(shown)} more", "faint"))
        return rows

    def _status_row(self) -> list[Text]:
        return [self._drawn.status_text()]

    def _aside_prefix(self, line: int, wrapped: int) -> StyleAndTextTuples:
        aside = self._state.aside
        label = f"{aside.label} " if aside else ""
        return [("bold", label)] if not line and not wrapped else [("", "  ")]


def _input_prefix(line: int, wrapped: int) -> StyleAndTextTuples:
    return [("bold", "> ")] if not line and not wrapped else [("", "  ")]
