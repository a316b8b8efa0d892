"""Try many small changes of one text in forks; only those that look good get a real check."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.checks.fork_check import ForkCheck, ForkVerdict
from localagent.agent.limits import FORKS, SEARCH
from localagent.agent.repair.candidates import Base, Candidate, Draft
from localagent.agent.repair.judge import NO_REPLY, SearchState, judge_reply
from localagent.core.changes import file_change
from localagent.core.events import CandidatesJudged, Event, Warned
from localagent.edits.textfile import TextFile, encode, with_text


def try_small_changes(
    s: SearchState, drafts: Sequence[Draft]
) -> Generator[Event, None, ForkOutcome | None]:
    """Judge drafts of one base in forks, up to the one that passes.

    None if no forks work, or if these drafts are too few to start a server.
    """
    problem, base = s.problem, drafts[0].base
    forks, path = problem.forks, problem.path
    if base is None or forks is None:
        return None
    running = forks.running
    if len(drafts) < FORKS.least_changes and (running is None or running.base is not base.result):
        return None
    changes = list(problem.others)
    if base.text != problem.text:
        text = with_text(problem.old or TextFile(""), base.text)
        changes.append(file_change(path, encode(text)))
    fork = yield from forks.start(changes, base.result)
    if fork is None:
        return None
    texts = {hash((path, text)): text for draft in drafts for text in draft.build("")}
    new = [text for key, text in texts.items() if key not in forks.judged]
    batch = _Batch(s, fork, base, drafts[0].strategy, climbs=drafts[0].climbs)
    passed = yield from batch.judge(new, SEARCH.mutation_seconds)
    if passed is None and batch.refused and not s.over and forks.usable:
        fresh = yield from forks.start(changes, base.result, "fresh")
        if fresh is not None and fresh is not fork:
            rest = _Batch(s, fresh, base, drafts[0].strategy)
            passed = yield from rest.judge(batch.refused, FORKS.fresh_seconds)
    return ForkOutcome(passed)


@dataclass(frozen=True, slots=True)
class ForkOutcome:
    """The outcome of drafts that forks judged: the candidate that passed the check, if any."""

    passed: Candidate | None


class _Batch:
    """Changes of one base on their way through one server; `refused` are those it cannot make."""

    def __init__(
        self,
        s: SearchState,
        fork: ForkCheck,
        base: Base,
        strategy: str,
        *,
        climbs: bool = False,
    ) -> None:
        self.refused: list[str] = []
        self._climbs = climbs
        self._s = s
        self._fork = fork
        self._base = base
        self._strategy = strategy
        self._start, self._count = time.monotonic(), 0

    def judge(
        self, texts: Sequence[str], seconds: float
    ) -> Generator[Event, None, Candidate | None]:
        """Judge the texts for at most `seconds`; a real check confirms those that look good."""
        s, end = self._s, self._start + seconds
        forks, path = s.problem.forks, s.problem.path
        assert forks is not None
        nearest, gained = None, SEARCH.least_gain
        for verdict in self._fork.judge(path, self._base.text, texts):
            if verdict.judged:
                self._count += 1
                forks.judged.add(hash((path, verdict.text)))
            else:
                self.refused.append(verdict.text)
            if self._is_worth_a_check(verdict):
                yield from self._report()
                passed = yield from self._confirm(verdict)
                if passed is not None:
                    return passed
                self._start = time.monotonic()
            elif self._climbs and (gain := self._fork.gain(verdict)) > gained:
                nearest, gained = verdict, gain
            if s.over or time.monotonic() > end or not forks.usable:
                break
        yield from self._report()
        if nearest is not None and not s.over:
            return (yield from self._confirm(nearest))
        return None

    def _is_worth_a_check(self, verdict: ForkVerdict) -> bool:
        """Whether a change fixes all failing tests, or more tests than those checked before."""
        if not verdict.broken and verdict.fixed >= self._fork.failing:
            return True
        gained = len(verdict.fixed) - len(verdict.broken)
        if gained <= self._fork.most_gained:
            return False
        self._fork.most_gained = gained
        return True

    def _confirm(self, verdict: ForkVerdict) -> Generator[Event, None, Candidate | None]:
        """Check a change that looks good. Forks whose verdict is refuted are not used again."""
        s = self._s
        draft = Draft.of_text(self._strategy, verdict.text)
        passed = yield from judge_reply(s, draft, NO_REPLY, in_forks=False)
        result = s.board.result_of(verdict.text)
        if passed is not None or result is None or not result.tests or result.timed_out:
            return passed
        self._fork.watch(self._base.result.passing - result.passing)
        if not verdict.fixed <= result.passing:
            assert s.problem.forks is not None
            s.problem.forks.give_up()
            yield Warned("small changes are checked one by one: a fork and the check disagreed")
        return None

    def _report(self) -> Iterator[Event]:
        """One event for the changes that were judged since the last one."""
        if self._count:
            last = max(self._s.turn.ledger.next("candidate") for _ in range(self._count))
            seconds = round(time.monotonic() - self._start, 3)
            path = self._s.problem.path
            yield CandidatesJudged(self._count, last, self._strategy, [path], seconds)
            self._count = 0
