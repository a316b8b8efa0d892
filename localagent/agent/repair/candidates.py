"""Drafts that strategies yield, candidates that replies become, and the board that ranks them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.models.base import Request


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Draft:
    """One question to the model, and how its reply becomes texts of the file.

    `build` turns the reply into new texts of the file, in the order of their judgement; it raises
    EditError for an unusable reply. A reply that was cut off or repeats itself is used only if it
    `may_be_cut`; otherwise `on_cut` receives it. Without a `request` the model is not asked, and
    `build` receives "". After a draft that `keeps_slot`, its strategy continues at once: the draft
    was cheap, or the next drafts need its reply.
    """

    strategy: str
    request: Request | None
    build: Callable[[str], list[str]]
    may_be_cut: bool = False
    on_cut: Callable[[str], None] = _ignore
    keeps_slot: bool = False

    @classmethod
    def of_text(cls, strategy: str, text: str) -> Draft:
        """A draft that needs no model: `text` is the file's new text."""
        return cls(strategy, None, lambda _: [text], keeps_slot=True)


def sample_request(turn: Turn, number: int, request: Request) -> Request:
    """The request as sample `number`: 0 is greedy, the others are drawn by the model's profile."""
    profile = turn.services.model.info.profile
    return replace(
        request,
        temperature=profile.temperature if number else 0.0,
        top_p=profile.top_p,
        top_k=profile.top_k,
        seed=turn.request.seed + number,
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible change of one file, and its check's result (None without a check)."""

    number: int
    strategy: str
    path: str
    text: str
    change: Change
    result: CheckResult | None = None


@dataclass
class Board:
    """What the search has tried. `start` is the check's result on the unchanged workspace."""

    start: CheckResult | None
    tried: list[Candidate] = field(default_factory=list)
    _hashes: set[str] = field(default_factory=set)

    def is_new(self, path: str, text: str) -> bool:
        """True for the first such text of this path; blank lines and line ends do not count."""
        plain = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
        key = hashlib.sha256(f"{path}\0{plain}".encode()).hexdigest()
        new = key not in self._hashes
        self._hashes.add(key)
        return new

    def add(self, candidate: Candidate) -> None:
        """Record a judged candidate."""
        self.tried.append(candidate)

    @property
    def best_score(self) -> tuple[bool, int, int, float]:
        """The best score so far, including the unchanged workspace's."""
        return max(_score(r) for r in [self.start, *(c.result for c in self.tried)])

    @property
    def best(self) -> Candidate | None:
        """The best judged candidate; of equals, the earliest."""
        judged = [c for c in self.tried if c.result is not None]
        return max(judged, key=lambda c: _score(c.result), default=None)

    def ranked(self) -> list[Candidate]:
        """All candidates, best first."""
        return sorted(self.tried, key=lambda c: _score(c.result), reverse=True)

    def complements(self) -> list[Candidate]:
        """For each test that the best candidate fails, the best candidate that passes it; best
        first.

        These may be nearer to a solution than the best one (lexicase selection: Spector, 2012).
        """
        best = self.best
        if best is None or best.result is None:
            return []
        first: dict[str, Candidate] = {}
        failing = {test.id for test in best.result.failing}
        ranked = self.ranked()
        for candidate in ranked:
            passing = candidate.result.passing if candidate.result is not None else frozenset()
            for name in failing & passing:
                first.setdefault(name, candidate)
        chosen = {candidate.number for candidate in first.values()}
        return [candidate for candidate in ranked if candidate.number in chosen]


def _score(result: CheckResult | None) -> tuple[bool, int, int, float]:
    return (False, -1, 0, 0.0) if result is None else result.score


Strategy = Callable[[Turn, Problem, Board], Iterator[Sequence[Draft]]]
"""Yields drafts to ask side by side, or an empty list to wait for other strategies' results."""


def best_text(problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The text that passes most, and its result: the best candidate's, or the unchanged file's."""
    best, start = board.best, problem.start
    if best is None or best.result is None:
        return problem.text, start
    if start is not None and start.score >= best.result.score and problem.text.strip():
        return problem.text, start
    return best.text, best.result


def complement_text(_problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The best complement's text and result, where it passes most tests; or "" and None."""
    for candidate in board.complements():
        if candidate.result is not None and most_pass(candidate.result):
            return candidate.text, candidate.result
    return "", None


def most_pass(result: CheckResult) -> bool:
    """Whether at least as many tests pass as fail, so that a small change may suffice."""
    return (result.passed or 0) >= (result.failed or 0)
