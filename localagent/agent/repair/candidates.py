"""Candidates: possible changes, and the board on which the search keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from localagent.agent.checks.runner import CheckResult
from localagent.core.changes import Change


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible change of one file: its new text, who proposed it, and how it was judged.

    `result` is None where there is no check to judge it.
    """

    number: int
    strategy: str
    path: str
    text: str
    change: Change
    result: CheckResult | None = None


@dataclass
class Board:
    """What the search has tried. `start` is the check's result on the workspace as it is."""

    start: CheckResult | None
    tried: list[Candidate] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def is_new(self, path: str, text: str) -> bool:
        """True the first time that this text is offered for this path; blank lines and spaces at
        line ends do not make a text new."""
        plain = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
        key = hashlib.sha256(f"{path}\0{plain}".encode()).hexdigest()
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def add(self, candidate: Candidate) -> bool:
        """Record a judged candidate; True where it is better than all before it."""
        better = self._score(candidate.result) > self.best_score
        self.tried.append(candidate)
        return better

    @property
    def best_score(self) -> tuple[bool, int, int, float]:
        """The best score so far, the workspace as it is included."""
        return max(self._score(r) for r in [self.start, *(c.result for c in self.tried)])

    @property
    def best(self) -> Candidate | None:
        """The best candidate that was judged; the earlier and then the shorter one of equals."""
        judged = [c for c in self.tried if c.result is not None]
        return max(judged, key=lambda c: self._score(c.result), default=None)

    def complements(self) -> list[Candidate]:
        """Of the candidates that pass a test that the best one fails, the best for each such test,
        best first: they may be nearer to a solution than it (as in lexicase selection: Spector,
        2012)."""
        best = self.best
        if best is None or best.result is None:
            return []
        first: dict[str, Candidate] = {}
        failing = {test.id for test in best.result.failing}
        ranked = sorted(self.tried, key=lambda c: self._score(c.result), reverse=True)
        for candidate in ranked:
            passing = candidate.result.passing if candidate.result is not None else frozenset()
            for name in failing & passing:
                first.setdefault(name, candidate)
        chosen = {candidate.number for candidate in first.values()}
        return [candidate for candidate in ranked if candidate.number in chosen]

    @property
    def solved(self) -> Candidate | None:
        """The first candidate whose check passed."""
        return next((c for c in self.tried if c.result is not None and c.result.ok), None)

    @staticmethod
    def _score(result: CheckResult | None) -> tuple[bool, int, int, float]:
        return (False, -1, 0, 0.0) if result is None else result.score
