"""The first screen: at most six lines, from which a newcomer learns how to send, stop, undo,
approve, change the model and leave."""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

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
