"""Draws the event stream: one line for each event, and a summary at the end of a turn.

The live line shows the current work, a finished line shows completed work. Model output, command
output and file names are cleaned (`ui.view.sanitize`) before they are drawn.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Any

from rich.text import Text

from localagent.core.events import (
    BestCandidate,
    CandidateProposed,
    CandidateRejected,
    CandidatesJudged,
    ChangesUndone,
    CheckFinished,
    CheckStarted,
    ConversationReplaced,
    Decision,
    Event,
    Failed,
    FileChanged,
    ModeChanged,
    ModelReading,
    ModelReplied,
    ModelRequested,
    PlanChanged,
    Question,
    Rewound,
    SessionStarted,
    Steered,
    Step,
    TextDelta,
    ThoughtDelta,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnKind,
    TurnStarted,
    Warned,
)
from localagent.sandbox.base import network_access
from localagent.ui.view.diff import counts
from localagent.ui.view.format import best_words, check_result, count, duration, remaining
from localagent.ui.view.items import draw_prompt
from localagent.ui.view.reply_stream import ActStream, AnswerStream
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Hanging, Surface, hanging, indented
from localagent.ui.view.search_view import SearchLog, SearchView
from localagent.ui.view.summary import EXPAND, TurnReport, draw_summary

_THOUGHT_TAIL = 24  # pieces of a thought in the live line
_MARKERS = re.compile(r"<[^<>\s]+>|\[/?THINK\]")
# Requests whose reply is one word of a list, or a plan, which is drawn as it is kept.
_CHOICES = ("classify", "localise", "plan")
_COMMAND_LINES = 40  # lines of output that are drawn for a command of the user
# Steps that have only a number; they are not drawn, because the tool calls say more.
_UNNAMED = ("think",)
_DOING = {
    "classify": "understanding the request",
    "localise": "choosing the file",
    "answer": "answering",
    "plan": "planning",
}

_STREAMS: dict[str, type[AnswerStream] | type[ActStream]] = {
    "answer": AnswerStream,
    "act": ActStream,
}


class Renderer:
    """Draws events on a surface. The summary names the command `undo`, which undoes the turn.

    With `inside`, facts that the status line or prompt of a session shows are left out. With
    `full`, every candidate of a search gets a line.
    """

    def __init__(
        self,
        screen: Surface,
        undo: str = "localagent undo",
        *,
        inside: bool = False,
        full: bool = False,
    ) -> None:
        self._screen = screen
        self._undo = undo
        self._inside = inside
        self._full = full
        self._search: SearchView | None = None
        self.echoed = ""  # a prompt that is on the screen already
        self._report = TurnReport()
        self._kind: TurnKind = "task"
        self._purpose = ""
        self._refused = ""
        self._steps: set[str] = set()
        self._reply: AnswerStream | ActStream | None = None
        self._streams: set[int] = set()
        self._thought: list[str] = []
        self._followed = 0
        self._draw: dict[type, Callable[[Any], None]] = {
            SessionStarted: self._session,
            ModeChanged: self._remark,
            Steered: self._steered,
            ChangesUndone: self._remark,
            Rewound: self._remark,
            ConversationReplaced: self._remark,
            TurnStarted: self._turn,
            Step: self._step,
            ModelRequested: self._request,
            ModelReading: self._reading,
            TextDelta: self._delta,
            ThoughtDelta: self._think,
            ModelReplied: self._replied,
            ToolCalled: self._called,
            ToolReturned: self._returned,
            Question: self._question,
            Decision: self._decision,
            CandidateProposed: self._candidate,
            CandidateRejected: self._candidate,
            CandidatesJudged: self._candidate,
            BestCandidate: self._best,
            PlanChanged: self._plan,
            CheckStarted: self._checking,
            CheckFinished: self._checked,
            FileChanged: self._changed,
            Warned: self._warned,
            Failed: self._failed,
            TurnFinished: self._finished,
        }

    def draw(self, event: Event) -> None:
        """Draw one event; nothing is drawn for events that do not concern the user."""
        method = self._draw.get(type(event))
        if method is not None:
            method(event)

    @property
    def search_log(self) -> SearchLog | None:
        """The steps of the running search; None if no search runs."""
        return self._search.log if self._search else None

    def _print(self, symbol: str, style: str, text: Text | str) -> None:
        body = text if isinstance(text, Text) else Text(text)
        self._screen.line(hanging(Text(symbol, style=style), body))

    def _session(self, event: SessionStarted) -> None:
        if self._inside or event.session == self._report.session:
            return
        self._report.session = event.session
        symbols = self._screen.symbols
        if event.sandbox in ("none", "seccomp"):
            held = "no sandbox" if event.sandbox == "none" else "seccomp, no network, files open"
            guard = Text(f"{held}: each command needs a yes", style="warn")
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
        if event.workspace:
            self._screen.line(Text(one_line(event.workspace, 1000), style="faint"), wrap=False)

    def _remark(self, event: ModeChanged | ChangesUndone | Rewound | ConversationReplaced) -> None:
        match event:
            case ModeChanged(mode=mode):
                text = f"mode: {one_line(mode)}"
            case ChangesUndone(turn=turn, changed=changed, again=again):
                files = one_line(", ".join(changed) or "no files", 1000)
                text = f"{'redid' if again else 'undid'} turn {turn}: {files}"
            case Rewound(turn=turn):
                text = f"went back to before turn {turn}"
            case ConversationReplaced():
                text = "context compacted"
        self._print(self._screen.symbols.step, "accent", text)

    def _steered(self, event: Steered) -> None:
        self._print(">", "strong", Text(one_line(event.text, 400), style="strong"))

    def _turn(self, event: TurnStarted) -> None:
        self._report = TurnReport(session=self._report.session)
        self._refused = ""
        self._steps.clear()
        self._kind = event.kind
        self._report.kind = event.kind
        echoed, self.echoed = self.echoed, ""
        # `/test` runs the check by another name, and /commit has shown the message of its command.
        by_name = event.kind in ("check", "command") and echoed.startswith("/")
        if not by_name and echoed.removeprefix("/plan ").lstrip("!").strip() != event.prompt:
            self._screen.line()
            sign = "!" if event.kind == "command" else ""
            draw_prompt(self._screen, sign + event.prompt)

    def _step(self, event: Step) -> None:
        self._end_replies()
        if event.name != "propose":  # the search goes on in another file
            self._end_search()
        text = one_line(event.detail or event.name)
        if event.name not in _UNNAMED and text not in self._steps:
            self._print(self._screen.symbols.step, "accent", text)
            self._steps.add(text)
        if self._search is None:
            self._screen.status(text)

    def _in_search(self) -> SearchView:
        """Return the running search; begin one if none runs."""
        if self._search is None:
            starts = [c.tests_passed or 0 for c in self._report.checks if not c.candidate]
            self._search = SearchView(self._screen, max(starts, default=0), full=self._full)
        return self._search

    def _end_search(self) -> None:
        if self._search is not None:
            self._search.end(f"; {EXPAND}" if self._inside and self._screen.live_line else "")
            self._search = None

    def _request(self, event: ModelRequested) -> None:
        self._purpose = event.purpose
        if self._is_in_search():
            self._in_search().record(event)
            return
        if not self._streams:  # if several replies arrive at once, only the first is drawn
            kind = _STREAMS.get(event.purpose)
            self._reply = kind(self._screen) if kind and self._screen.live_line else None
            self._followed = event.stream
        self._streams.add(event.stream)
        self._screen.status(_DOING.get(event.purpose, "asking the model"))

    def _is_in_search(self) -> bool:
        """Return whether the last request asked for code, which only the search does."""
        return self._purpose not in ("", *_STREAMS, *_CHOICES)

    def _reading(self, event: ModelReading) -> None:
        if self._is_in_search():
            self._in_search().record(event)
            return
        if event.done >= event.total:
            self._screen.status(_DOING.get(self._purpose, "waiting for the first word"))
            return
        reused = f" ({event.reused:,} reused)" if event.reused else ""
        left = "" if event.seconds_left is None else f", {remaining(event.seconds_left)}"
        text = f"reading {event.done:,} of {event.total:,} tokens{reused}{left}"
        self._screen.status(text, timed=event.seconds_left is None)

    def _think(self, event: ThoughtDelta) -> None:
        if event.stream == self._followed:
            self._thought.append(event.text)
            end = one_line("".join(self._thought[-_THOUGHT_TAIL:]), 60)
            self._screen.status(f"thinking: {end}")

    def _fold_thought(self, tokens: int) -> None:
        """Draw one dim line in place of the thought before a reply."""
        if self._thought:
            begin = one_line(_MARKERS.sub(" ", "".join(self._thought)), 60)
            self._screen.line(indented(Text(f"thought, {tokens:,} tokens: {begin}", "faint"), 2))
        self._thought.clear()

    def _delta(self, event: TextDelta) -> None:
        if event.stream == self._followed:
            self._fold_thought(len(self._thought))
        if self._is_in_search():
            self._in_search().record(event)
        elif self._reply is not None and event.stream == self._followed:
            self._reply.feed(event.text)

    def _replied(self, event: ModelReplied) -> None:
        if event.purpose not in (*_STREAMS, *_CHOICES):
            self._in_search().record(event)
            if not self._full:
                return
        self._streams.discard(event.stream)
        if event.stream == self._followed:
            self._fold_thought(event.thought_tokens)
            self._end_reply()
            self._report.answer_drawn |= event.purpose == "answer" and self._screen.live_line
        if event.purpose in _CHOICES or (self._inside and event.finish != "length"):
            return
        if not event.completion_tokens and not event.prefill_seconds:
            return  # stopped in the prefill, so the number of tokens is unknown
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
        """End replies that were cut off, so that the next output begins on a new line."""
        self._end_reply()
        self._streams.clear()

    def _end_reply(self) -> None:
        if self._reply is not None:
            self._reply.end()
            if isinstance(self._reply, ActStream):
                self._report.answer_drawn |= self._reply.concluded
            self._reply = None

    def _called(self, event: ToolCalled) -> None:
        self._report.calls[event.call] = _call(event)
        self._screen.status(self._report.calls[event.call])

    def _returned(self, event: ToolReturned) -> None:
        symbols = self._screen.symbols
        called = self._report.calls.pop(event.call, one_line(event.tool))
        if self._kind == "command":
            self._command_output(event)
            return
        lines = [line for line in event.for_person.split("\n") if line.strip()]
        if lines and lines[0].startswith("$ "):  # the command itself
            called = one_line(lines.pop(0), 200)
        text = Text(called)
        if lines:
            more = f" (+{count(len(lines) - 1, 'line')})" if len(lines) > 1 else ""
            text.append(f"  {one_line(lines[0], 120)}{more}", style="faint" if event.ok else "bad")
        sign, style = (symbols.tool, "accent") if event.ok else (symbols.bad, "bad")
        self._print(sign, style, text)

    def _command_output(self, event: ToolReturned) -> None:
        """Draw the output of a command that the user entered."""
        lines = clean(event.for_person).rstrip("\n").split("\n")
        for line in lines[:_COMMAND_LINES]:
            self._screen.line(Text(f"  {line}", "" if event.ok else "bad"), wrap=False)
        if len(lines) > _COMMAND_LINES:
            more = count(len(lines) - _COMMAND_LINES, "more line")
            self._screen.line(Text(f"  ... {more}", "faint"))
        self._report.answer_drawn = True

    def _question(self, event: Question) -> None:
        self._screen.clear_status()
        if self._inside:
            self._report.previews.add(event.preview.strip())

    def _decision(self, event: Decision) -> None:
        if event.allowed or event.by == "user":  # the user's answer is on the screen already
            return
        why = f": {one_line(event.reason)}" if event.reason else ""
        self._print(
            self._screen.symbols.bad,
            "bad",
            f"not allowed: {one_line(event.tool)} {one_line(event.subject)}{why}",
        )
        self._refused = f"{event.tool} of {event.subject} was refused"
        if event.by == "nobody":
            name = "name the file in the task; " if event.tool == "edit" else ""
            hint = f"{name}--yes answers such questions with yes"
            self._screen.line(indented(Text(hint, style="faint"), 2))

    def _candidate(self, event: CandidateProposed | CandidateRejected | CandidatesJudged) -> None:
        self._in_search().record(event)

    def _best(self, event: BestCandidate) -> None:
        self._end_search()
        self._print(self._screen.symbols.step, "accent", f"best change: {best_words(event)}")
        in_session = "/best applies it; later: " if self._undo.startswith("/") else ""
        apply = f"{in_session}git apply {shlex.quote(clean(event.patch))}"
        self._screen.line(indented(Text(apply, style="faint"), 2))

    def _checking(self, event: CheckStarted) -> None:
        if event.candidate:
            self._in_search().record(event)
        else:
            self._screen.status(f"checking the workspace: {one_line(event.command)}")

    def _checked(self, event: CheckFinished) -> None:
        symbols = self._screen.symbols
        before = next((c for c in reversed(self._report.checks) if not c.candidate), None)
        self._report.checks.append(event)
        if event.candidate:
            self._in_search().record(event)
            return
        if before and not self._report.changes and check_result(before) == check_result(event):
            return  # the check ran again to trace its lines
        sign, style = (symbols.ok, "ok") if event.ok else (symbols.bad, "bad")
        text = Text(f"check: {check_result(event)}")
        text.append(f"  {duration(event.seconds)}", style="faint")
        self._print(sign, style, text)

    def _plan(self, event: PlanChanged) -> None:
        """Draw a new plan; the commands on plans draw later changes themselves."""
        if self._kind != "plan":
            return
        self._screen.line()
        for number, step in enumerate(event.steps, 1):
            lead = Text(f"  {number}  ", style="accent")
            self._screen.line(Hanging(lead, Text(one_line(step["text"], 1000))))
        self._report.answer_drawn = True

    def _changed(self, event: FileChanged) -> None:
        self._report.changes.append(event)
        added, removed = counts(event.diff)
        what = "changed" if event.after_sha256 else "deleted"
        what = what if event.before_sha256 else "created"
        text = Text(f"{what} {one_line(event.path)}")
        if event.diff:
            text.append(f"  +{added} -{removed}", style="faint")
        self._print(self._screen.symbols.tool, "accent", text)

    def _warned(self, event: Warned) -> None:
        if event.lost:
            self._end_replies()
        text = Text(one_line(event.text, 1000), style="warn")
        self._print(self._screen.symbols.warn, "warn", text)

    def _failed(self, event: Failed) -> None:
        if event.kind == "Interrupted":  # the end of the turn reports the interrupt
            return
        self._end_search()
        if self._refused and event.message.startswith(self._refused):
            return  # the decision, just above, has said so
        self._print(self._screen.symbols.bad, "bad", Text(one_line(event.message, 1000), "bad"))
        if event.hint:
            self._screen.line(indented(Text(one_line(event.hint, 1000)), 2))

    def _finished(self, event: TurnFinished) -> None:
        self._end_replies()
        self._end_search()
        self._screen.clear_status()
        draw_summary(self._screen, event, self._report, self._undo, inside=self._inside)


def _call(event: ToolCalled) -> str:
    """Describe a tool call by the tool and its short arguments: "read inventory/stock.py"."""
    parts = [one_line(event.tool)]
    for value in event.arguments.values():
        lines = value.strip("\n").count("\n") + 1
        parts.append(f"({lines} lines)" if lines > 1 else one_line(value.strip(), 60))
    return " ".join(part for part in parts if part)
