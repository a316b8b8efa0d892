"""Draws the search for a change that passes the check: one live line, however many candidates.

Only a candidate that is better than all before gets a line of its own. The log holds every step.
"""

from __future__ import annotations

from collections import deque
from textwrap import indent

from rich.text import Text

from localagent.core.events import (
    CandidateProposed,
    CandidateRejected,
    CandidatesJudged,
    CheckFinished,
    CheckStarted,
    ModelReading,
    ModelReplied,
    ModelRequested,
    TextDelta,
)
from localagent.ui.view.format import check_result, count, duration
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface, hanging

MAX_LOG = 200_000
"""Characters of a search's log; the oldest steps are dropped first."""

_TOKENS = ("alternatives",)  # requests whose reply is only tokens, without their line
_NARROW = 60  # columns; below that, the live line is shorter

_SearchEvent = (
    ModelRequested
    | ModelReading
    | TextDelta
    | ModelReplied
    | CandidateProposed
    | CandidateRejected
    | CandidatesJudged
    | CheckStarted
    | CheckFinished
)


class SearchLog:
    """Every step of one search as text, for readers; any thread may read it."""

    def __init__(self) -> None:
        self.title = "the search"
        self._steps: deque[str] = deque()
        self._size = 0
        self._dropped = False

    def add(self, step: str) -> None:
        """Add a step, and drop the oldest steps beyond `MAX_LOG`."""
        self._steps.append(step)
        self._size += len(step)
        while self._size > MAX_LOG and len(self._steps) > 1:
            self._size -= len(self._steps.popleft())
            self._dropped = True

    @property
    def text(self) -> str:
        """All steps, one below the other."""
        before = ["... earlier steps: localagent sessions show"] if self._dropped else []
        return "\n".join([*before, *tuple(self._steps)])


class SearchView:
    """Draws one search on `screen`. `start_passed` tests pass without a change.

    With `full`, each candidate gets a line, for a record that is drawn again.
    """

    def __init__(self, screen: Surface, start_passed: int, *, full: bool) -> None:
        self.log = SearchLog()
        self._screen = screen
        self._full = full
        self._tried = 0
        self._last_number = 0
        self._failed = 0
        self._passed = False
        self._reason = ""  # the last reason why a candidate got no check
        self._start_passed = start_passed
        self._best: tuple[int, int] | None = None  # passed tests, and all tests
        self._streams: set[int] = set()
        self._lines = 0
        self._work = f"search {id(self)}"

    def record(self, event: _SearchEvent) -> None:
        """Count an event of the search, and draw the live line."""
        doing = ""
        match event:
            case ModelRequested():
                if not event.stream:  # the replies of the batch before may never have ended
                    self._streams.clear()
                    self._lines = 0
                self._streams.add(event.stream)
            case ModelReading() if event.done < event.total:
                doing = f"reading {event.done:,} of {event.total:,} tokens"
            case TextDelta():
                self._lines += event.text.count("\n")
            case ModelReplied():
                self._streams.discard(event.stream)
                if event.purpose not in _TOKENS:
                    self.log.add(indent(clean(event.text).strip("\n"), "    "))
            case CandidateProposed():
                self._count(event.number)
            case CandidateRejected():
                self._reject(event)
            case CandidatesJudged():
                self._judge(event)
            case CheckStarted():
                doing = "checking"
            case CheckFinished():
                self._check(event)
        if not doing and self._streams:
            doing = f"writing, {count(self._lines, 'line')}" if self._lines else "writing"
        self._screen.status(self._status(), work=self._work, then=doing)

    def end(self, hint: str) -> None:
        """Draw the result of a search that did not find a passing candidate; `hint` follows it."""
        if self._failed and not self._passed and not self._full:
            why = self._best_words() or (f": {self._reason}" if self._reason else "")
            tried = f"tried {count(self._tried, 'candidate')}{why}{hint}"
            sign = Text(self._screen.symbols.step, style="faint")
            self._screen.line(hanging(sign, Text(tried, style="faint")))

    def _status(self) -> str:
        if not self._tried:
            return "trying the first candidate"
        if self._screen.width < _NARROW:
            best = f", best {self._best[0]}/{self._best[1]}" if self._best else ""
            return f"{self._tried:,} tried{best}"
        return f"trying: {count(self._tried, 'candidate')}{self._best_words()}"

    def _best_words(self) -> str:
        return f", best {self._best[0]:,} of {self._best[1]:,} pass" if self._best else ""

    def _count(self, number: int, by: int = 1) -> None:
        if number > self._last_number:
            self._tried += by
            self._last_number = number
            self.log.title = f"the search: {count(self._tried, 'candidate')}"

    def _reject(self, event: CandidateRejected) -> None:
        self._count(event.number)
        self._failed += 1
        self._reason = one_line(event.reason, 120)
        self._step(Text(f"candidate {event.number}: {one_line(event.reason)}"))

    def _judge(self, event: CandidatesJudged) -> None:
        self._count(event.last, event.count)
        self._failed += event.count
        text = Text(f"candidates {event.last - event.count + 1} to {event.last}: small changes")
        text.append(f" of {one_line(', '.join(event.paths))}")
        text.append(f"  {duration(event.seconds)}", style="faint")
        self._step(text)

    def _check(self, event: CheckFinished) -> None:
        self._count(event.candidate)
        self._failed += not event.ok
        self._passed |= event.ok
        better = False
        if event.tests_passed is not None:
            passed, total = event.tests_passed, event.tests_passed + (event.tests_failed or 0)
            better = passed > max(self._start_passed, self._best[0] if self._best else 0)
            if self._best is None or passed > self._best[0]:
                self._best = passed, total
        text = Text(f"candidate {event.candidate}: {check_result(event)}")
        text.append(f"  {duration(event.seconds)}", style="faint")
        self._step(text, ok=event.ok, draw=event.ok or better)

    def _step(self, text: Text, *, ok: bool = False, draw: bool = False) -> None:
        """Log a step; draw it if it is worth a line of the screen."""
        sign = self._screen.symbols.ok if ok else self._screen.symbols.bad
        self.log.add(f"{sign} {text.plain}")
        if draw or self._full:
            if not ok:
                text.stylize("faint")
            self._screen.line(hanging(Text(sign, style="ok" if ok else "faint"), text))
