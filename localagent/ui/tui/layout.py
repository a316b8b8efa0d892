"""The bottom of the terminal, from top to bottom:

- the live row: a status, or the row that the model is writing
- lines that wait for the end of the turn
- the input line, or a dialog in its place
- completions
- the status line

and the welcome text of a new session, above it.
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
    UIControl,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput, HighlightIncrementalSearchProcessor
from rich.cells import cell_len
from rich.text import Text

from localagent.ui.tui.dialogs import Dialogs, Place
from localagent.ui.tui.input_line import InputLine
from localagent.ui.tui.output import fragments
from localagent.ui.tui.print_queue import PrintQueue
from localagent.ui.view.format import count
from localagent.ui.view.sanitize import one_line
from localagent.ui.view.screen import Surface, hanging, labelled

MAX_INPUT_ROWS = 12
MAX_COMPLETIONS = 8
MAX_QUEUED = 3

_WELCOME = (
    ("Enter", "sends; Alt-Enter adds a line; @ names a file; /help lists the commands"),
    ("Ctrl-C", "stops the model; /undo, or Esc Esc, undoes its changes; Ctrl-D leaves"),
    ("Shift-Tab", "changes the mode (plan, ask, auto-edit, auto)"),
    ("/model", "changes the model; !command runs in the sandbox; Ctrl-O: last output"),
)
_SHORT_WELCOME = (
    ("Enter", "sends; /help has more"),
    ("Ctrl-C", "stops; /undo undoes"),
    ("Shift-Tab", "changes the mode"),
    ("/model", "another model"),
    ("Ctrl-D", "leaves"),
)
_WELCOME_WIDTH = 86  # cells that the longer welcome text needs


def draw_welcome(surface: Surface, version: str, workspace: Path) -> None:
    """Draw the welcome text of a new session."""
    home, place = str(Path.home()), str(workspace)
    if place == home or place.startswith(f"{home}/"):
        place = f"~{place[len(home) :]}"
    lead = f"localagent {version}"
    room = max(surface.width - len(lead) - 5, 8)
    head = Text.assemble((lead, "strong"), "  ", (path_end(one_line(place, 500), room), "faint"))
    surface.line(hanging(Text(surface.symbols.step, "accent"), head))
    lines = _WELCOME if surface.width >= _WELCOME_WIDTH else _SHORT_WELCOME
    for row in labelled([(key, Text(text, style="faint")) for key, text in lines]):
        surface.line(row)


def path_end(path: str, room: int) -> str:
    """Shorten a path to its end, in `room` cells; if possible, at the start of a name."""
    if cell_len(path) <= room:
        return path
    names = path.split("/")
    while len(names) > 1 and cell_len("/".join(("...", *names))) > room:
        del names[0]
    short = "/".join(("...", *names))
    return short if cell_len(short) <= room else f"...{path[3 - room :]}"


class TuiState(Protocol):
    """The state of a session that the layout draws."""

    printer: PrintQueue
    dialogs: Dialogs
    line: InputLine
    queued: list[str]

    def live_text(self) -> Text:
        """Return the live row."""

    def status_text(self) -> Text:
        """Return the status line."""


class TuiLayout:
    """The layout of the screen. `windows` has the window that receives keys for each `Place`."""

    def __init__(self, state: TuiState) -> None:
        self._state = state
        dialogs, line = state.dialogs, state.line
        search = SearchBufferControl(
            Buffer(name="search"), input_processors=[BeforeInput("search: ")], ignore_case=True
        )
        editor = BufferControl(
            line.buffer,
            search_buffer_control=search,
            preview_search=True,
            input_processors=[HighlightIncrementalSearchProcessor()],
        )
        side = BufferControl(line.side, key_bindings=dialogs.bindings("side"))
        self.windows: dict[Place, Window] = {
            "input": _input_window(editor, lambda: "> "),
            "side": _input_window(side, lambda: f"{dialogs.side.label} " if dialogs.side else ""),
            "question": self._rows(self._question_rows, dialogs.bindings("question")),
            "picker": self._rows(self._picker_rows, dialogs.bindings("picker")),
        }
        in_side = Condition(lambda: dialogs.side is not None)
        in_question = Condition(lambda: dialogs.question is not None) & ~in_side
        in_picker = Condition(lambda: dialogs.picker is not None)
        in_line = ~in_question & ~in_side & ~in_picker
        queued = Condition(lambda: bool(state.queued))
        search_window = Window(search, height=1, dont_extend_height=True)
        rows = [
            self._rows(lambda: [state.live_text()], height=1),
            ConditionalContainer(self._rows(self._queued_rows), queued),
            ConditionalContainer(self.windows["question"], in_question),
            ConditionalContainer(self.windows["side"], in_side),
            ConditionalContainer(self.windows["picker"], in_picker),
            ConditionalContainer(self.windows["input"], in_line),
            ConditionalContainer(search_window, is_searching),
            ConditionalContainer(
                self._rows(self._completion_rows), has_completions & in_line & ~is_searching
            ),
            self._rows(lambda: [state.status_text()], height=1),
        ]
        self.layout = Layout(HSplit(rows), focused_element=self.windows["input"])

    def _rows(
        self,
        rows: Callable[[], list[Text]],
        bindings: KeyBindingsBase | None = None,
        height: int | None = None,
    ) -> Window:
        """Return a window of rows, drawn anew each time; with `bindings`, the window takes keys."""

        def draw() -> StyleAndTextTuples:
            text: StyleAndTextTuples = []
            console = self._state.printer.console()
            wrapped = [part for row in rows() for part in row.wrap(console, console.width)]
            for number, row in enumerate(wrapped):
                row.rstrip()
                if number:
                    text.append(("", "\n"))
                text.extend(fragments(row, console))
            return text

        control = FormattedTextControl(
            draw, focusable=bindings is not None, key_bindings=bindings, show_cursor=False
        )
        return Window(control, height=height, dont_extend_height=True)

    def _queued_rows(self) -> list[Text]:
        queued = self._state.queued
        width = max(self._state.printer.width - 10, 10)
        rows = [Text(f"  then: {one_line(line, width)}", "faint") for line in queued[:MAX_QUEUED]]
        if len(queued) > MAX_QUEUED:
            rows.append(Text(f"  and {count(len(queued) - MAX_QUEUED, 'more line')}", "faint"))
        return rows

    def _question_rows(self) -> list[Text]:
        box = self._state.dialogs.question
        return box.rows() if box else []

    def _picker_rows(self) -> list[Text]:
        picker = self._state.dialogs.picker
        rows = picker.rows(self._state.printer.symbols) if picker else []
        for row in rows:
            row.truncate(max(self._state.printer.width - 1, 8), overflow="ellipsis")
        return rows

    def _completion_rows(self) -> list[Text]:
        state = self._state.line.buffer.complete_state
        if state is None:
            return []
        at, total = state.complete_index, len(state.completions)
        first = max(min((at or 0) - MAX_COMPLETIONS // 2, total - MAX_COMPLETIONS), 0)
        visible = state.completions[first : first + MAX_COMPLETIONS]
        name_width = max(cell_len(each.display_text) for each in visible)
        rows = []
        for number, each in enumerate(visible, first):
            style = "accent.strong" if number == at else ""
            room = " " * (name_width - cell_len(each.display_text))
            row = Text(f"  {each.display_text}{room}", style=style)
            row.append(f"  {each.display_meta_text}", style=style or "faint")
            row.truncate(max(self._state.printer.width - 1, 8), overflow="ellipsis")
            rows.append(row)
        if total > len(visible):
            rows.append(Text(f"  {total - len(visible)} more (Up, Down)", "faint"))
        return rows


def _input_window(control: UIControl, label: Callable[[], str]) -> Window:
    """Return a window to type into: the first row begins with a label, later rows are indented."""

    def prefix(line: int, wrapped: int) -> StyleAndTextTuples:
        return [("", "  ")] if line or wrapped else [("bold", label())]

    return Window(
        control,
        height=Dimension(min=1, max=MAX_INPUT_ROWS),
        dont_extend_height=True,
        wrap_lines=True,
        get_line_prefix=prefix,
    )
