"""The terminal view: draws the event stream, one line for each thing that happened.

What is going on now is the live line; what is done is a finished line; the end is a summary. Model
output, command output and file names are cleaned (`ui.clean`) before they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text

from localagent.core.events import (
    CandidateProposed,
    CandidateRejected,
    ChangesUndone,
    CheckFinished,
    CheckStarted,
    ConversationReplaced,
    Decision,
    Event,
    Failed,
    FileChanged,
    ModeChanged,
    ModelAsked,
    ModelReading,
    ModelReplied,
    Question,
    Rewound,
    SessionStarted,
    Steered,
    Step,
    TextDelta,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.sandbox.base import network_access
from localagent.ui.view.diff import counts
from localagent.ui.view.format import count, duration, remaining, tests
from localagent.ui.view.layout import hanging, indented
from localagent.ui.view.reply_stream import MAX_LINES, ActStream, AnswerStream, CodeStream
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface
from localagent.ui.view.summary import Report, draw_summary

# Requests whose reply is one word picked from a list: there is nothing to watch.
_CHOICES = ("classify", "localise")
# Requests whose replies are a line or two, many of them: no line on what each cost.
_SHORT = ("infill", *_CHOICES)
_PROMPT_LINES = 6  # of a pasted text, that are shown again
# Steps that are only a number; the tool calls between them tell more.
_UNNAMED = ("think",)
_DOING = {
    "classify": "understanding the request",
    "localise": "choosing the file",
    "infill": "filling in",
    "ideas": "thinking of other ways",
    "answer": "answering",
    "plan": "planning",
}


_STREAMS: dict[str, type[AnswerStream] | type[ActStream]] = {
    "answer": AnswerStream,
    "plan": AnswerStream,
    "act": ActStream,
}


class Renderer:
    """Draws events on a surface. `undo` is the command that the summary names. With `inside`, what
    stands on the status line and the prompt of an interactive session is left out."""

    def __init__(
        self, screen: Surface, undo: str = "localagent undo", *, inside: bool = False
    ) -> None:
        self._screen = screen
        self._undo = undo
        self._inside = inside
        self.echoed = ""  # a prompt that stands on the screen already
        self._report = Report()
        self._candidate = ""
        self._own_command = False
        self._purpose = ""
        self._reply: AnswerStream | ActStream | CodeStream | None = None
        self._streams: set[int] = set()
        self._followed = 0
        self._draw: dict[type, Callable[[Any], None]] = {
            SessionStarted: self._session,
            ModeChanged: self._mode,
            Steered: self._steered,
            ChangesUndone: self._undone,
            Rewound: self._rewound,
            ConversationReplaced: self._replaced,
            TurnStarted: self._turn,
            Step: self._step,
            ModelAsked: self._asked,
            ModelReading: self._reading,
            TextDelta: self._delta,
            ModelReplied: self._replied,
            ToolCalled: self._called,
            ToolReturned: self._returned,
            Question: self._question,
            Decision: self._decision,
            CandidateProposed: self._proposed,
            CandidateRejected: self._rejected,
            CheckStarted: self._checking,
            CheckFinished: self._checked,
            FileChanged: self._changed,
            Warned: self._warned,
            Failed: self._failed,
            TurnFinished: self._finished,
        }

    def draw(self, event: Event) -> None:
        """Draw one event; those that a person need not see are passed over."""
        method = self._draw.get(type(event))
        if method is not None:
            method(event)

    def _mark(self, symbol: str, style: str, text: Text | str) -> None:
        body = text if isinstance(text, Text) else Text(text)
        self._screen.line(hanging(Text(symbol, style=style), body))

    def _session(self, event: SessionStarted) -> None:
        if self._inside:
            return
        self._report.session = event.session
        symbols = self._screen.symbols
        if event.sandbox == "none":
            guard = Text("no sandbox: every command asks", style="warn")
        else:
            guard = Text(
                f"{symbols.lock} {one_line(event.sandbox)}, {network_access(event.ports)}",
                style="ok",
            )
        mode = [Text("read only", style="warn")] if event.read_only else []
        again = [Text("resumed")] if event.resumed else []
        parts = [
            Text("localagent", style="strong"),
            Text(one_line(event.model)),
            Text(one_line(event.planner)),
            guard,
            *mode,
            *again,
        ]
        self._screen.line(Text(f" {symbols.dot} ").join(parts))
        self._screen.line(Text(one_line(event.workspace, 1000), style="faint"), wrap=False)

    def _mode(self, event: ModeChanged) -> None:
        self._mark(self._screen.symbols.step, "cyan", f"mode: {one_line(event.mode)}")

    def _steered(self, event: Steered) -> None:
        self._mark(">", "strong", Text(one_line(event.text, 400), style="strong"))

    def _undone(self, event: ChangesUndone) -> None:
        what = "made again" if event.again else "took back"
        files = one_line(", ".join(event.changed) or "nothing", 1000)
        self._mark(self._screen.symbols.step, "mark", f"{what}, of turn {event.turn}: {files}")

    def _rewound(self, event: Rewound) -> None:
        self._mark(self._screen.symbols.step, "mark", f"went back to before turn {event.turn}")

    def _replaced(self, _event: ConversationReplaced) -> None:
        self._mark(self._screen.symbols.step, "mark", "the conversation goes on from less")

    def _turn(self, event: TurnStarted) -> None:
        self._report = Report(session=self._report.session)
        self._candidate = ""
        self._own_command = event.kind == "command"
        self._report.own_check = event.kind == "check"
        echoed, self.echoed = self.echoed, ""
        if echoed.removeprefix("/plan ").lstrip("!").strip() != event.prompt:
            self._screen.line()
            sign = "!" if event.kind == "command" else ""
            draw_prompt(self._screen, sign + event.prompt)

    def _step(self, event: Step) -> None:
        self._end_replies()
        self._candidate = ""
        text = one_line(event.detail or event.name)
        if event.name not in _UNNAMED:
            self._mark(self._screen.symbols.step, "mark", text)
        self._screen.status(text)

    def _asked(self, event: ModelAsked) -> None:
        self._purpose = event.purpose
        if not self._streams:  # of replies that are written together, the first is followed
            watched = self._screen.live_line and event.purpose not in _CHOICES
            kind = _STREAMS.get(event.purpose, CodeStream)
            self._reply = kind(self._screen) if watched else None
            self._followed = event.stream
        self._streams.add(event.stream)
        self._screen.status(_DOING.get(event.purpose, "asking the model"))

    def _reading(self, event: ModelReading) -> None:
        if event.done >= event.total:
            self._screen.status(_DOING.get(self._purpose, "waiting for the first word"))
            return
        reused = f" ({event.reused:,} reused)" if event.reused else ""
        left = "" if event.seconds_left is None else f", {remaining(event.seconds_left)}"
        text = f"reading {event.done:,} of {event.total:,} tokens{reused}{left}"
        self._screen.status(text, timed=event.seconds_left is None)

    def _delta(self, event: TextDelta) -> None:
        if self._reply is not None and event.stream == self._followed:
            self._reply.feed(event.text)

    def _replied(self, event: ModelReplied) -> None:
        self._streams.discard(event.stream)
        if event.stream == self._followed:
            self._end_reply()
            self._report.answer_shown |= (
                event.purpose in ("answer", "plan") and self._screen.live_line
            )
        if event.purpose in _SHORT or (self._inside and event.finish != "length"):
            return
        read = event.prompt_tokens - event.reused_tokens
        reused = f" ({event.reused_tokens:,} reused)" if event.reused_tokens else ""
        cost = (
            f"read {read:,} tokens{reused} in {duration(event.prefill_seconds)}, "
            f"wrote {event.completion_tokens:,} in {duration(event.decode_seconds)}"
        )
        if event.finish == "length":
            cost += ", cut off at the limit"
        self._screen.line(indented(Text(cost, style="faint"), 2))

    def _end_replies(self) -> None:
        """What there is of replies that do not end stays, and is not run into what comes next."""
        self._end_reply()
        self._streams.clear()

    def _end_reply(self) -> None:
        if self._reply is not None:
            self._reply.end()
            if isinstance(self._reply, ActStream):
                self._report.answer_shown |= self._reply.concluded
            self._reply = None

    def _called(self, event: ToolCalled) -> None:
        self._candidate = ""
        self._report.calls[event.call] = _call(event)
        self._screen.status(self._report.calls[event.call])

    def _returned(self, event: ToolReturned) -> None:
        symbols = self._screen.symbols
        called = self._report.calls.pop(event.call, one_line(event.tool))
        if self._own_command:
            self._output(event)
            return
        lines = [line for line in event.for_person.split("\n") if line.strip()]
        if lines and lines[0].startswith("$ "):  # the command itself
            called = one_line(lines.pop(0), 200)
        text = Text(called)
        if lines:
            more = f" (+{count(len(lines) - 1, 'line')})" if len(lines) > 1 else ""
            text.append(f"  {one_line(lines[0], 120)}{more}", style="faint" if event.ok else "bad")
        sign, style = (symbols.tool, "mark") if event.ok else (symbols.bad, "bad")
        self._mark(sign, style, text)

    def _output(self, event: ToolReturned) -> None:
        """What came of a command that the user ran: it is what there is to see."""
        lines = clean(event.for_person).rstrip("\n").split("\n")
        for line in lines[:MAX_LINES]:
            self._screen.line(Text(f"  {line}", "" if event.ok else "bad"), wrap=False)
        if len(lines) > MAX_LINES:
            more = count(len(lines) - MAX_LINES, "more line")
            self._screen.line(Text(f"  ... {more}", "faint"))
        self._report.answer_shown = True

    def _question(self, event: Question) -> None:
        self._screen.clear_status()
        self._report.asked = event
        if self._inside:
            self._report.seen.add(event.preview.strip())

    def _decision(self, event: Decision) -> None:
        if event.allowed:
            return
        why = f": {one_line(event.reason)}" if event.reason else ""
        self._mark(
            self._screen.symbols.bad,
            "bad",
            f"not allowed: {one_line(event.tool)} {one_line(event.subject)}{why}",
        )
        if event.by == "nobody":
            self._screen.line(indented(Text("--yes allows what would be asked", style="faint"), 2))

    def _proposed(self, event: CandidateProposed) -> None:
        self._candidate = f"candidate {event.number}"
        if event.number <= event.of:
            self._candidate += f" of {event.of}"
        self._screen.status(f"{self._candidate}: {one_line(', '.join(event.paths))}")

    def _rejected(self, event: CandidateRejected) -> None:
        text = f"candidate {event.number}: {one_line(event.reason)}"
        self._mark(self._screen.symbols.bad, "faint", Text(text, style="faint"))

    def _checking(self, event: CheckStarted) -> None:
        what = self._candidate if event.candidate and self._candidate else "the workspace"
        self._screen.status(f"checking {what}: {one_line(event.command)}")

    def _checked(self, event: CheckFinished) -> None:
        symbols = self._screen.symbols
        self._report.checks.append(event)
        found = tests(event.tests_passed, event.tests_failed)
        if not found:
            found = "passed" if event.ok else f"failed (exit code {event.exit_code})"
        elif not event.ok and not event.tests_failed:
            found += f", but exit code {event.exit_code}"
        what = self._candidate if event.candidate and self._candidate else "check"
        sign, style = (symbols.ok, "ok") if event.ok else (symbols.bad, "bad")
        text = Text(f"{what}: {found}").append(f"  {duration(event.seconds)}", style="faint")
        self._mark(sign, style, text)

    def _changed(self, event: FileChanged) -> None:
        self._report.changes.append(event)
        added, removed = counts(event.diff)
        what = "changed" if event.after_sha256 else "deleted"
        what = what if event.before_sha256 else "created"
        text = Text(f"{what} {one_line(event.path)}")
        if event.diff:
            text.append(f"  +{added} -{removed}", style="faint")
        self._mark(self._screen.symbols.tool, "mark", text)

    def _warned(self, event: Warned) -> None:
        if event.lost:
            self._end_replies()
        text = Text(one_line(event.text, 1000), style="warn")
        self._mark(self._screen.symbols.warn, "warn", text)

    def _failed(self, event: Failed) -> None:
        if event.kind == "Interrupted":  # the turn's end says so
            return
        self._mark(self._screen.symbols.bad, "bad", Text(one_line(event.message, 1000), "bad"))
        if event.hint:
            self._screen.line(indented(Text(one_line(event.hint, 1000)), 2))

    def _finished(self, event: TurnFinished) -> None:
        self._end_replies()
        self._screen.clear_status()
        draw_summary(self._screen, event, self._report, self._undo, brief=self._inside)


def draw_prompt(surface: Surface, prompt: str) -> None:
    """Draw what the user entered; of a long text the beginning."""
    lines = prompt.strip().splitlines() or [""]
    shown = "\n".join(one_line(line, 400) for line in lines[:_PROMPT_LINES])
    body = Text(shown, style="strong")
    if len(lines) > _PROMPT_LINES:
        body.append(f"\n... {count(len(lines) - _PROMPT_LINES, 'more line')}", style="faint")
    surface.line(hanging(Text(">", style="strong"), body))


def _call(event: ToolCalled) -> str:
    """ "read inventory/stock.py": the tool with its short arguments."""
    parts = [one_line(event.tool)]
    for value in event.arguments.values():
        lines = value.strip("\n").count("\n") + 1
        parts.append(f"({lines} lines)" if lines > 1 else one_line(value.strip(), 60))
    return " ".join(part for part in parts if part)
