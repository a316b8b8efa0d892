"""The end of a turn: the diff, what was checked, what it cost, and the outcome in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from localagent.core.events import CheckFinished, FileChanged, Outcome, Question, TurnFinished
from localagent.ui.view.diff import drawn
from localagent.ui.view.format import count, duration, tests
from localagent.ui.view.layout import hanging, indented, labelled
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface

MAX_DIFF_LINES = 200
MAX_OUTPUT_LINES = 12

_WORDS: dict[Outcome, tuple[str, str]] = {
    "solved": ("solved: the check passed", "ok"),
    "answered": ("done", "ok"),
    "unverified": ("changed, but not verified: there was no check to run", "warn"),
    "unsolved": ("not solved", "bad"),
    "refused": ("refused", "bad"),
    "failed": ("the model failed", "bad"),
    "limit": ("stopped at a limit", "warn"),
    "interrupted": ("interrupted", "warn"),
    "error": ("not done", "bad"),
}
_STRATEGIES = {
    "file": "writing the whole file",
    "idea": "writing the whole file after an idea of its own",
    "function": "rewriting one function",
    "new-function": "writing a new function",
    "body": "writing one function's body",
    "infill": "filling in a few lines",
    "mend": "changing what a test told of",
    "mutate": "changing one sign",
    "mix": "putting two candidates together",
}


@dataclass
class Report:
    """What the events of one turn have told so far."""

    session: str = ""
    calls: dict[int, str] = field(default_factory=dict)
    checks: list[CheckFinished] = field(default_factory=list)
    changes: list[FileChanged] = field(default_factory=list)
    asked: Question | None = None
    seen: set[str] = field(default_factory=set)
    """Diffs that are on the screen already, as the user was asked for them."""
    answer_shown: bool = False
    own_check: bool = False
    """The user had the check run, and nothing else."""


def draw_summary(
    screen: Surface, event: TurnFinished, report: Report, undo: str, *, brief: bool = False
) -> None:
    """Draw the end of a turn; `brief` makes one line of it where nothing was to be done."""
    if brief and event.outcome == "answered" and not event.changed and report.answer_shown:
        screen.line(indented(Text.assemble("took ", _took(event), style="faint"), 2))
        return
    if brief and report.own_check and event.outcome in ("answered", "unsolved"):
        if event.outcome == "unsolved":
            _draw_failing_output(screen, report.checks)
        screen.line(indented(Text.assemble("took ", _took(event), style="faint"), 2))
        return
    screen.line()
    _draw_changes(screen, [each for each in report.changes if each.diff.strip() not in report.seen])
    if event.outcome == "unsolved":
        _draw_failing_output(screen, report.checks)
    _draw_outcome(screen, event, report)
    for row in labelled(_facts(event, report, undo)):
        screen.line(row)


def _draw_changes(screen: Surface, changes: list[FileChanged]) -> None:
    left = MAX_DIFF_LINES
    for change in changes:
        if not change.diff:
            screen.line(Text(f"{one_line(change.path)}: no text to show"))
            continue
        lines = list(drawn(change.diff))
        for line in lines[: max(left, 0)]:
            screen.line(line, wrap=False)
        if len(lines) > left:
            hidden = count(len(lines) - max(left, 0), "more line")
            screen.line(Text(f"... {hidden} of {one_line(change.path)}", style="faint"))
        left -= len(lines)
    if changes:
        screen.line()


def _draw_failing_output(screen: Surface, checks: list[CheckFinished]) -> None:
    """The end of the last failing check's output."""
    failing = [check for check in checks if not check.ok and check.output.strip()]
    if not failing:
        return
    lines = clean(failing[-1].output).strip("\n").split("\n")
    if len(lines) > MAX_OUTPUT_LINES:
        hidden = count(len(lines) - MAX_OUTPUT_LINES, "line")
        screen.line(indented(Text(f"... {hidden} before this", style="faint"), 2))
    for line in lines[-MAX_OUTPUT_LINES:]:
        screen.line(Text(f"  {line}", style="faint"), wrap=False)
    screen.line()


def _draw_outcome(screen: Surface, event: TurnFinished, report: Report) -> None:
    words, colour = _WORDS[event.outcome]
    symbols = screen.symbols
    if event.outcome == "unverified" and event.check:
        words = "changed, but not verified: the check still fails, on nothing that passed before"
    if event.outcome == "answered":
        if event.changed:
            words = "changed; nothing there needs checking"
        if not report.answer_shown and event.summary:
            screen.line(Text(clean(event.summary)))
            screen.line()
    if event.outcome == "unsolved" and event.summary:
        words += f": {one_line(event.summary, 400)}"
    unchanged = event.outcome not in ("solved", "answered", "unverified") and not event.changed
    if unchanged and "nothing was changed" not in words:
        words += " (nothing was changed)"
    sign = {"ok": symbols.ok, "warn": symbols.warn, "bad": symbols.bad}[colour]
    screen.line(
        hanging(Text(sign, style=f"{colour}.strong"), Text(words, style=f"{colour}.strong"))
    )


def _facts(event: TurnFinished, report: Report, undo: str) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = []
    if event.check:
        rows.append(("check", _check(event.check, report.checks)))
    if event.how and event.changed:
        rows.append(("found by", Text(_how(event.how))))
    if event.changed:
        rows.append(("changed", Text(one_line(", ".join(event.changed), 1000))))
    rows.append(("took", _took(event)))
    if report.session:
        rows.append(("session", Text(one_line(report.session))))
    if event.changed:
        rows.append(("undo", Text(undo)))
    return rows


def _took(event: TurnFinished) -> Text:
    read = event.prompt_tokens - event.reused_tokens
    took = Text(duration(event.seconds))
    # Of a prompt that the user had stopped being read nobody counted how far that was.
    stopped = event.outcome == "interrupted" and not event.completion_tokens
    if (event.prompt_tokens or event.completion_tokens) and not stopped:
        took.append(
            f"; {count(read, 'token')} read, {event.reused_tokens:,} reused, "
            f"{event.completion_tokens:,} written"
        )
    return took


def _check(command: str, checks: list[CheckFinished]) -> Text:
    text = Text(one_line(command))
    last = next((c for c in reversed(checks) if c.command == command), None)
    if last is None:
        return text
    found = tests(last.tests_passed, last.tests_failed)
    found = found or ("passed" if last.ok else f"exit code {last.exit_code}")
    return text.append(f": {found}", style="ok" if last.ok else "bad")


def _how(how: str) -> str:
    """ "infill 7" in words: "filling in a few lines (candidate 7)"."""
    name, _, number = how.partition(" ")
    if name in _STRATEGIES and number.isdigit():
        return f"{_STRATEGIES[name]} (candidate {number})"
    return one_line(how)
