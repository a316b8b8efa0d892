"""Drafts, which strategies yield; candidates, made from replies; and the board that ranks them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from localagent.agent.checks.runner import CheckResult, most_pass
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.edits.textfile import plain_sha256
from localagent.models.base import Request


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Base:
    """A text of the file, and the result of its check."""

    text: str
    result: CheckResult


@dataclass(frozen=True, slots=True)
class Draft:
    """One question to the model, and how the reply becomes new texts of the file.

    `build` turns the reply into new texts of the file, in the order in which they are checked; it
    raises EditError for an unusable reply. With `may_be_cut`, a reply that was cut off or repeats
    itself is used; otherwise `on_cut` receives it. Without a `request`, the model is not asked, and
    `build` receives "". After a draft with `keeps_slot`, the draft's strategy continues at once,
    because the draft was cheap or the next drafts need its reply. `base` is the text that a draft
    changes in a few lines, with its result; many drafts of one base are judged together. With
    `climbs`, the one of them that brings failing tests nearest to passing is checked, too.
    """

    strategy: str
    request: Request | None
    build: Callable[[str], list[str]]
    may_be_cut: bool = False
    on_cut: Callable[[str], None] = _ignore
    keeps_slot: bool = False
    base: Base | None = None
    climbs: bool = False

    @classmethod
    def of_text(
        cls, strategy: str, text: str, base: Base | None = None, *, climbs: bool = False
    ) -> Draft:
        """A draft that asks no model: `text` is the file's new text."""
        return cls(strategy, None, lambda _: [text], keeps_slot=True, base=base, climbs=climbs)


def sample_request(turn: Turn, number: int, request: Request) -> Request:
    """The request for sample `number`: 0 is greedy, other numbers sample by the model's profile."""
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
    """One possible change of one file, and the result of its check (None without a check).

    `others` are the changes of other files that the check saw too.
    """

    number: int
    strategy: str
    path: str
    text: str
    change: Change
    result: CheckResult | None = None
    others: tuple[Change, ...] = ()


@dataclass
class Board:
    """All candidates so far. `start` is the check's result on the unchanged workspace."""

    start: CheckResult | None
    tried: list[Candidate] = field(default_factory=list)
    _hashes: set[tuple[str, str]] = field(default_factory=set)

    def is_new(self, path: str, text: str) -> bool:
        """Whether the path had no such text before, apart from blank lines and line ends."""
        key = (path, plain_sha256(text))
        new = key not in self._hashes
        self._hashes.add(key)
        return new

    def add(self, candidate: Candidate) -> None:
        """Record a candidate and the result of its check."""
        self.tried.append(candidate)

    def result_of(self, text: str) -> CheckResult | None:
        """The result of the last candidate, if that candidate has this text."""
        last = self.tried[-1] if self.tried else None
        return last.result if last is not None and last.text == text else None

    @property
    def best_score(self) -> tuple[bool, int, int, float]:
        """The best score so far, including the score of the unchanged workspace."""
        return max(_score(r) for r in [self.start, *(c.result for c in self.tried)])

    @property
    def best(self) -> Candidate | None:
        """The candidate with the best score; among equal scores, the earliest."""
        judged = [c for c in self.tried if c.result is not None]
        return max(judged, key=lambda c: _score(c.result), default=None)

    def ranked(self) -> list[Candidate]:
        """All candidates so far, best first."""
        return sorted(self.tried, key=lambda c: _score(c.result), reverse=True)

    def complements(self) -> list[Candidate]:
        """The best candidate for each test that the overall best candidate fails; best first.

        These candidates may be nearer to a solution than the best one (lexicase selection: Spector,
        2012).
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
"""A strategy yields drafts to ask side by side, or an empty list to wait for other strategies."""


def best_text(problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The best candidate's text and result, or the unchanged file's if none is better."""
    best, start = board.best, problem.start
    if best is None or best.result is None:
        return problem.text, start
    if start is not None and start.score >= best.result.score and problem.text.strip():
        return problem.text, start
    return best.text, best.result


def complement_text(_problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The best complement's text and result, if it passes most tests; otherwise "" and None."""
    for candidate in board.complements():
        if candidate.result is not None and most_pass(candidate.result):
            return candidate.text, candidate.result
    return "", None
