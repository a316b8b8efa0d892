"""The pictures of docs/tour.md: screens drawn by the program itself, as SVG without web fonts."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from localagent.core.events import (
    CandidateProposed,
    CheckFinished,
    PlanChanged,
    Question,
    Step,
    TurnStarted,
    from_dict,
)
from localagent.ui.chat.output import Output
from localagent.ui.tui.dialogs import QuestionBox
from localagent.ui.view.format import UNICODE
from localagent.ui.view.items import draw_output, draw_prompt, draw_question
from localagent.ui.view.render import Renderer
from localagent.ui.view.screen import Screen, status_row

WIDTH = 84
RECORDING = Path(__file__).resolve().parents[1] / "tests/golden/recordings/solved.jsonl"
# A page of the documentation loads nothing from the network.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
_DIFF = """\
--- a/inventory/stock.py
+++ b/inventory/stock.py
@@ -4,5 +4,5 @@
     result = 0
     for line in lines:
-        result += line.price
+        result += line.price * line.quantity
     return result
"""
_CHECK = "python -m pytest -q"


def _repair(screen: Screen) -> None:
    renderer = Renderer(screen, undo="/undo", inside=True)
    for line in RECORDING.read_text(encoding="utf-8").splitlines():
        renderer.draw(from_dict(json.loads(line)))


def _search(screen: Screen) -> None:
    renderer = Renderer(screen, inside=True)
    renderer.draw(TurnStarted(1, "fix the failing tests"))
    renderer.draw(CheckFinished(_CHECK, 0, False, 1, 12, 7, 0.4, ""))
    renderer.draw(Step("propose", "trying changes of timesheet/work.py"))
    renderer.draw(CandidateProposed(38, 0, "infill", ["timesheet/work.py"]))
    renderer.draw(CheckFinished(_CHECK, 38, False, 1, 15, 4, 0.3, ""))
    status = "trying: 91 candidates, best 15 of 19 pass"
    screen.line(status_row(UNICODE, 3, status, 37.0, "writing, 12 lines"))


def _approval(screen: Screen) -> None:
    question = Question(1, "edit", "inventory/stock.py", _DIFF, "you did not name it")
    draw_question(screen, question)
    for row in QuestionBox(question, ("change inventory/stock.py",), Future()).rows():
        screen.line(row)


def _plan(screen: Screen) -> None:
    renderer = Renderer(screen, inside=True)
    task = "add a --week option to the report"
    renderer.draw(TurnStarted(1, f"/plan {task}", kind="plan"))
    renderer.draw(Step("search", "looking for what the task is about"))
    renderer.draw(Step("read", "reading timesheet/report.py:1-39; timesheet/__main__.py:1-40"))
    texts = (
        "In timesheet/report.py: add a function `of_week` that keeps the works of one week",
        "In timesheet/__main__.py: let `main` read --week and pass it to `of_week`",
    )
    renderer.draw(PlanChanged(task, [{"text": text, "state": "left"} for text in texts]))
    note = "a plan of 2 steps: /plan run carries it out, /plan edit changes it"
    draw_output(screen, Output("note", note))


def _context(screen: Screen) -> None:
    draw_prompt(screen, "/context")
    rows = (
        *(("system prompt", "89", "1.1%"), ("code", "1,312", "16.0%")),
        *(("what you said", "34", "0.4%"), ("chat template", "17", "0.2%")),
        *(("the prompt", "1,452", "17.7%"), ("last reply", "73", "0.9%")),
        *(("room left", "6,667", "81.4%"), ("window", "8,192", "100.0%")),
    )
    head = ("part", "tokens", "of window")
    draw_output(screen, Output("table", "", "the last prompt of the model", head, rows))


PICTURES: dict[str, Callable[[Screen], None]] = {
    "repair": _repair,
    "search": _search,
    "approval": _approval,
    "plan": _plan,
    "context": _context,
}
"""The pictures by name, each with the function that draws its screen."""


def picture(name: str) -> str:
    """The SVG of a picture."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        color_system="standard",
        markup=False,
        highlight=False,
        emoji=False,
    )
    with Screen(console, live=False, symbols=UNICODE, theme="dark") as screen:
        PICTURES[name](screen)
    svg = console.export_svg(title="localagent", code_format=_FORMAT, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
