"""Draws the summary of a turn: its diff, checks, outcome and cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from rich.text import Text

from localagent.agent.checks.runner import (
    CANNOT_RUN,
    FAILED_BEFORE,
    NO_TEST,
    ONLY_TEXT,
    SILENT,
    UNDEFINED,
)
from localagent.core.events import CheckFinished, FileChanged, Outcome, TurnFinished, TurnKind
from localagent.ui.view.diff import diff_rows, draw_diff
from localagent.ui.view.format import check_result, count, duration
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface, hanging, indented, labelled

MAX_DIFF_LINES = 200
MAX_OUTPUT_LINES = 12
EXPAND = "Ctrl-O shows all"
"""What a session in the terminal says below an output that it does not show whole."""

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
# Why a change is not verified, by what the planner's summary says.
_REASONS = {
    NO_TEST: "no test was added",
    SILENT: "the check reports no passed test any more",
    CANNOT_RUN: CANNOT_RUN,
}
_STRATEGIES = {
    "file": "writing the whole file",
    "idea": "writing the whole file from another idea",
    "function": "rewriting one function",
    "new-function": "writing a new function",
    "body": "writing one function's body",
    "infill": "filling in a few lines",
    "passage": "rewriting one paragraph",
    "alternatives": "another likely token, or a line from it",
    "mend": "a change derived from a failing test",
    "mutate": "changing one token",
    "mix": "combining two candidates",
}


@dataclass
class TurnReport:
    """Facts for the summary, collected from the events of one turn."""

    session: str = ""
    calls: dict[int, str] = field(default_factory=dict)
    checks: list[CheckFinished] = field(default_factory=list)
    changes: list[FileChanged] = field(default_factory=list)
    previews: set[str] = field(default_factory=set)
    """Diffs that a question to the user has drawn already."""
    answer_drawn: bool = False
    kind: TurnKind = "task"

    def last_check(self, command: str) -> CheckFinished | None:
        """The last run of a check on the workspace; None if it did not run."""
        runs = (c for c in reversed(self.checks) if c.command == command and not c.candidate)
        return next(runs, None)


def draw_summary(
    screen: Surface, event: TurnFinished, report: TurnReport, undo: str, *, inside: bool = False
) -> None:
    """Draw the summary of a turn.

    `inside` a session, an answer, a check or a command without changes gets only its cost, and a
    request for nothing only its answer.
    """
    answered = event.outcome == "answered" and not event.changed
    worked = report.answer_drawn or event.prompt_tokens or event.check or report.kind != "task"
    if inside and answered and not worked:
        screen.line(Text(clean(event.summary)))
        return
    answered = answered and report.answer_drawn
    ended = event.outcome in ("answered", "unsolved")
    check_only = report.kind == "check" and ended
    command_only = report.kind == "command" and ended and not event.changed
    brief = inside and (answered or check_only or command_only)
    if not brief:
        screen.line()
        _draw_changes(screen, [c for c in report.changes if c.diff.strip() not in report.previews])
    if event.outcome == "unsolved":
        _draw_failing_output(screen, report.checks, inside=inside)
    if brief:
        if event.sources:
            screen.line(labelled([("sources", _sources(event))])[0])
        if check_only or event.prompt_tokens:  # the output of a command ends with its time
            screen.line(indented(Text.assemble("took ", _cost(event), style="faint"), 2))
        return
    _draw_outcome(screen, event, report)
    rows = _facts(event, report, undo)
    step = "" if report.kind == "command" else next_step(event, inside=inside)
    if check_only and event.outcome == "unsolved":
        step = 'localagent run "fix the failing tests"'
    if step:
        rows.append(("next", Text(step)))
    for row in labelled(rows):
        screen.line(row)


def _draw_changes(screen: Surface, changes: list[FileChanged]) -> None:
    left = MAX_DIFF_LINES
    for change in changes:
        if not change.diff:
            screen.line(Text(f"{one_line(change.path)}: no text diff"))
            continue
        lines = list(diff_rows(change.diff))
        draw_diff(screen, lines[: max(left, 0)])
        if len(lines) > left:
            hidden = count(len(lines) - max(left, 0), "more line")
            screen.line(Text(f"... {hidden} of {one_line(change.path)}", style="faint"))
        left -= len(lines)
    if changes:
        screen.line()


def _draw_failing_output(screen: Surface, checks: list[CheckFinished], *, inside: bool) -> None:
    """Draw the end of the last failing check's output, if possible of the workspace's check."""
    failing = [check for check in checks if not check.ok and check.output.strip()]
    failing = [check for check in failing if not check.candidate] or failing
    if not failing:
        return
    lines = clean(failing[-1].output).strip("\n").split("\n")
    if len(lines) > MAX_OUTPUT_LINES:
        hidden = count(len(lines) - MAX_OUTPUT_LINES, "line")
        keys = f"; {EXPAND}" if inside and screen.live_line else ""
        screen.line(indented(Text(f"... {hidden} before this{keys}", style="faint"), 2))
    for line in lines[-MAX_OUTPUT_LINES:]:
        screen.line(Text(f"  {line}", style="faint"), wrap=False)
    screen.line()


def _draw_outcome(screen: Surface, event: TurnFinished, report: TurnReport) -> None:
    words, style = _WORDS[event.outcome]
    symbols = screen.symbols
    if event.outcome == "unverified" and event.check:
        last = report.last_check(event.check)
        passes = last is not None and last.ok
        missing = event.summary.partition(UNDEFINED)[2]
        why = "no test runs the change" if passes else "the check fails as it did before"
        why = next((words for sign, words in _REASONS.items() if sign in event.summary), why)
        if passes and missing:
            why = f"it does not define {missing}"
        words = f"changed, but not verified: {why}"
    if event.outcome == "solved" and not event.changed:
        words = "the check passes already; nothing was changed"
    elif event.outcome == "solved" and FAILED_BEFORE in event.summary:
        words = f"solved: {event.summary.partition('; ')[2]}"
    if event.outcome == "answered":
        if event.changed:
            why = f"{ONLY_TEXT}: look at it" if event.check else "no check was run"
            words = f"changed {count(len(event.changed), 'file')}; {why}"
            style = "strong"
        if not report.answer_drawn and event.summary:
            screen.line(Text(clean(event.summary)))
            screen.line()
    if event.outcome == "unsolved" and report.kind == "command":
        words = f"the command failed: {one_line(event.summary, 400)}"
    elif event.outcome == "unsolved" and report.kind == "check":
        words = one_line(event.summary, 400)
    elif event.outcome == "unsolved" and event.summary:
        words += f": {one_line(event.summary, 400)}"
    unchanged = event.outcome not in ("solved", "answered", "unverified") and not event.changed
    if unchanged and report.kind != "check" and "nothing was changed" not in words:
        words += " (nothing was changed)"
    signs = {"ok": symbols.ok, "warn": symbols.warn, "bad": symbols.bad}
    sign = signs.get(style, symbols.step)
    style = f"{style}.strong" if style in signs else style
    screen.line(hanging(Text(sign, style=style), Text(words, style=style)))


def _facts(event: TurnFinished, report: TurnReport, undo: str) -> list[tuple[str, Text]]:
    rows: list[tuple[str, Text]] = []
    if event.check:
        text = Text(one_line(event.check))
        if (last := report.last_check(event.check)) is not None:
            text.append(f": {check_result(last)}", style="ok" if last.ok else "bad")
        rows.append(("check", text))
    if event.how and event.changed:
        rows.append(("found by", Text(_how(event.how))))
    if event.changed:
        rows.append(("changed", Text(one_line(", ".join(event.changed), 1000))))
    if event.sources:
        rows.append(("sources", _sources(event)))
    rows.append(("took", _cost(event)))
    if report.session:
        rows.append(("session", Text(one_line(report.session))))
    if event.changed:
        rows.append(("undo", Text(undo)))
    return rows


def next_step(event: TurnFinished, *, inside: bool) -> str:
    """Return the one thing that the user may do next, or "" where an error has said it."""
    match event.outcome:
        case "unverified" if not event.check:
            return f"{'/check' if inside else 'localagent run --check'} CMD names a check"
        case "unverified":
            return "read the diff; a test that runs the new lines would verify them"
        case "unsolved" if not event.check:
            return "name the file in the task, for example: in hello.py"
        case "unsolved" if inside:
            return "name the file or function in the task; /check shows what fails"
        case "unsolved":
            return "name the file or function in the task, or try a larger model (--model ID)"
        case "interrupted" if not inside:
            return "localagent run --continue takes it up again"
    return ""


def _sources(event: TurnFinished) -> Text:
    return Text("\n".join(one_line(place) for place in event.sources))


def _cost(event: TurnFinished) -> Text:
    read = event.prompt_tokens - event.reused_tokens
    cost = Text(duration(event.seconds))
    # If the user stopped the prefill, the number of tokens read is unknown.
    stopped = event.outcome == "interrupted" and not event.completion_tokens
    if (event.prompt_tokens or event.completion_tokens) and not stopped:
        cost.append(
            f"; {count(read, 'token')} read, {event.reused_tokens:,} reused, "
            f"{event.completion_tokens:,} written"
        )
    return cost


def _how(how: str) -> str:
    """Describe a strategy, such as "infill 7": "filling in a few lines (candidate 7)"."""
    name, _, number = how.partition(" ")
    if name in _STRATEGIES and number.isdigit():
        return f"{_STRATEGIES[name]} (candidate {number})"
    return one_line(how)
