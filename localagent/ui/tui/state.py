"""What the terminal is waiting for besides the input line: an answer, a pick, a line of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.text import Text

from localagent.core.events import Question
from localagent.ui.chat.interface import Choice, UIRequest
from localagent.ui.tui.worker_thread import Reply
from localagent.ui.view.ask import verb
from localagent.ui.view.format import ASCII, Symbols
from localagent.ui.view.sanitize import one_line

SHOWN_CHOICES = 10


@dataclass
class Asking:
    """A question that is open. `remembers` is what "always" would mean."""

    question: Question
    remembers: tuple[str, ...]
    reply: Reply

    @property
    def is_command(self) -> bool:
        """Whether what is asked for is a command, which can be edited."""
        return self.question.tool in ("shell", "check")

    def rows(self) -> list[Text]:
        """What can be answered."""
        what = verb(self.question.tool)
        rows = [
            Text.assemble(
                ("  y", "mark.strong"), f"  yes, {what}", ("   n", "mark.strong"), "  no"
            ),
            Text.assemble(("  r", "mark.strong"), "  no, and say why"),
        ]
        if self.is_command:
            rows.append(Text.assemble(("  e", "mark.strong"), "  edit the command first"))
        if self.remembers:
            more = "; ".join(one_line(each, 200) for each in self.remembers)
            rows.append(Text.assemble(("  a", "mark.strong"), f"  yes, always here: {more}"))
        return rows


@dataclass
class Picking:
    """A list to pick from."""

    request: UIRequest
    reply: Reply
    at: int = 0

    def move(self, by: int) -> None:
        """Go up or down, round the ends."""
        self.at = (self.at + by) % max(len(self.request.choices), 1)

    @property
    def choice(self) -> Choice | None:
        """The one that is picked now."""
        return self.request.choices[self.at] if self.request.choices else None

    def rows(self, symbols: Symbols) -> list[Text]:
        """The choices round the picked one."""
        choices = self.request.choices
        first = min(max(self.at - SHOWN_CHOICES // 2, 0), max(len(choices) - SHOWN_CHOICES, 0))
        rows = [Text(f"  {one_line(self.request.title or 'pick one')}", style="strong")]
        sign = ">" if symbols is ASCII else "❯"
        for number in range(first, min(first + SHOWN_CHOICES, len(choices))):
            choice, picked = choices[number], number == self.at
            row = Text(f"  {sign if picked else ' '} ", style="mark.strong")
            row.append(one_line(choice.text, 100), style="mark.strong" if picked else "")
            if choice.detail:
                row.append(f"  {one_line(choice.detail, 100)}", style="faint")
            rows.append(row)
        place = f"{self.at + 1} of {len(choices)}; " if len(choices) > SHOWN_CHOICES else ""
        rows.append(Text(f"    {place}Enter takes it, Esc goes back", style="faint"))
        return rows


@dataclass
class Aside:
    """A line that is asked for beside the input: a reason, a command to edit."""

    label: str
    done: Callable[[str], None]


@dataclass
class State:
    """All of it. `note` takes the place of the status line until the next key."""

    asking: Asking | None = None
    picking: Picking | None = None
    aside: Aside | None = None
    note: str = ""
    steered: list[str] = field(default_factory=list)
    expanded: int = 0
    away: bool = False
    """Another program has the terminal: an editor, a shell while we sleep."""
