"""Judge many small changes of a file by its failing tests, in forks of one collected pytest.

A check takes 0.3 to 1.5 s, most of it for imports and the collection of tests. A fork takes 20 ms.
It runs the failing tests first. If one of them passes, another fork runs the passing tests that
reach the changed lines. A real check then decides about the changes that look good.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from localagent.agent.checks.failure_messages import nearness
from localagent.agent.checks.fork_server import ForkServer, cores
from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import FORKS

_NONE = ("", "")


@dataclass(frozen=True, slots=True)
class ForkVerdict:
    """The result of a change in forks.

    `judged` is False if no fork could make the change. `same` says that every failing test failed
    with the same message. `fixed` are the failing tests that passed, `broken` the passing tests
    that failed. `messages` are those of failing tests that failed in another way.
    """

    text: str
    judged: bool = True
    same: bool = False
    fixed: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    messages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Question:
    """A change on its way through the server: lines (from 0) to replace, and tests to run."""

    text: str
    lines: tuple[int, int]
    new: str
    run: list[str]
    fixed: frozenset[str] = frozenset()


class ForkCheck:
    """Judges changes of a workspace whose check has the result `base`.

    `alive` turns False when the server ends or hangs. `is_ready` says that it began to serve.
    `most_gained` is for the caller: how many more tests a change passed that got a real check.
    """

    def __init__(self, server: ForkServer, base: CheckResult) -> None:
        self.base = base
        self.alive = True
        self.is_ready = False
        self.most_gained = 0
        self._server = server
        self._failing: list[str] = []
        self._messages: dict[str, str] = {}
        self._watched: set[str] = set()
        self._seconds = FORKS.most_seconds
        self._number = 0

    def prepare(self, seconds: float) -> bool:
        """Wait for the server, and run the failing tests; False if the forks are no use.

        `seconds` is the time limit of each of the two steps. Only a test that fails in a fork too
        can tell whether a change is good.
        """
        self.is_ready = "ready" in (self._server.receive(seconds) or {})
        # Different failures come first, because some tests judge for all.
        firsts = {test.message: test.id for test in reversed(self.base.failing)}
        failing = list(dict.fromkeys([*firsts.values(), *(t.id for t in self.base.failing)]))
        # Files that cannot be collected are left out, unless there is nothing else.
        run = ([test for test in failing if "::" in test] or failing)[: FORKS.failing_tests]
        if run and self.is_ready:
            self._server.send({"number": 0, "run": run, "seconds": seconds})
            reply = self._server.receive(seconds + FORKS.grace_seconds) or {}
            results = _results(reply)
            failing = [test for test in run if results.get(test, _NONE)[0] == "failed"]
            self._messages = {test: message for test, (_, message) in results.items()}
            seconds = max(_number(reply.get("seconds")), 0.0)
            # Of slow tests, every n-th one judges; the check decides about the others.
            step = max(1, round(seconds / FORKS.round_seconds))
            self._failing = failing[::step]
            slow = FORKS.slowdown * seconds / step
            self._seconds = min(max(slow, FORKS.least_seconds), FORKS.most_seconds)
        self.alive = bool(self._failing)
        return self.alive

    def judge(self, path: str, before: str, texts: Iterable[str]) -> Iterator[ForkVerdict]:
        """The verdict on each of the `texts`, which change the file at `path` from `before`.

        The verdicts come in any order, and end early if the server ends.
        """
        lines = before.split("\n")
        waiting = (self._question(lines, text) for text in texts)
        again: deque[_Question] = deque()
        sent: dict[float, _Question] = {}
        while self.alive:
            while self.alive and len(sent) <= cores():
                question = again.popleft() if again else next(waiting, None)
                if question is None:
                    break
                self._number += 1
                sent[self._number] = question
                self.alive = self._send(path, question)
            reply = self._server.receive(self._seconds + FORKS.grace_seconds) if sent else None
            if reply is None:
                self.alive &= not sent
                return
            question = sent.pop(_number(reply.get("number")), None)
            if question is None:
                continue  # a reply to a question of an earlier call, or an imitation
            verdict = self._verdict(question, reply)
            run = self._reaching(path, question) if verdict.fixed and not question.fixed else []
            if run:
                again.append(
                    _Question(question.text, question.lines, question.new, run, verdict.fixed)
                )
            else:
                yield verdict

    def watch(self, tests: Iterable[str]) -> None:
        """Run these passing tests for every change that looks good, wherever the change is."""
        self._watched.update(islice(tests, FORKS.watched_tests))

    @property
    def failing(self) -> frozenset[str]:
        """The failing tests that judge the changes."""
        return frozenset(self._failing)

    def gain(self, verdict: ForkVerdict) -> float:
        """How much nearer a change brings the failing tests to passing; see `nearness`."""
        before = {test: nearness(self._messages.get(test, "")) for test in self._failing}
        changed = sum(nearness(text) - before[test] for test, text in verdict.messages.items())
        return changed + sum(1.0 - before.get(test, 0.0) for test in verdict.fixed)

    def _question(self, before: list[str], text: str) -> _Question:
        after = text.split("\n")
        first, most = 0, min(len(before), len(after)) - 1
        while first < most and before[first] == after[first]:
            first += 1
        end = 0
        while end < most - first and before[-1 - end] == after[-1 - end]:
            end += 1
        new = "\n".join(after[first : len(after) - end])
        return _Question(text, (first, len(before) - end), new, self._failing)

    def _send(self, path: str, question: _Question) -> bool:
        return self._server.send(
            {
                "number": self._number,
                "path": path,
                "lines": question.lines,
                "text": question.new,
                "run": question.run,
                "seconds": self._seconds,
            }
        )

    def _verdict(self, question: _Question, reply: dict[str, Any]) -> ForkVerdict:
        fault, results = str(reply.get("fault", "")), _results(reply)
        known = {test: results[test] for test in question.run if test in results}
        passed, failed = (
            frozenset(test for test, result in known.items() if result[0] == outcome)
            for outcome in ("passed", "failed")
        )
        if question.fixed:
            return ForkVerdict(question.text, fixed=question.fixed, broken=failed)
        judged = bool(passed) or not fault.startswith("refused")
        messages = {test: known[test][1] for test in failed}
        same = not fault and not known
        return ForkVerdict(question.text, judged, same=same, fixed=passed, messages=messages)

    def _reaching(self, path: str, question: _Question) -> list[str]:
        """The passing tests that ran the changed lines, at most `FORKS.passing_tests` of them."""
        first, last = question.lines[0] + 1, question.lines[1]
        ran = {test.id: test.lines.get(path, frozenset()) for test in self.base.tests}
        # A statement counts as run on its first line, and the change may be further down in it.
        executed = {n for lines in ran.values() for n in lines if n <= first}
        changed = range(max(executed, default=first), max(first, last) + 1)
        passing = self.base.passing
        run = [test for test in ran if test in passing and not ran[test].isdisjoint(changed)]
        run = run[:: -(-len(run) // FORKS.passing_tests) or 1]
        return [*run, *(self._watched - set(run))]


def _results(reply: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """The tests' outcomes and messages in a reply, without what is malformed."""
    results = reply.get("results")
    return {
        test: (str(result[0]), str(result[-1]))
        for test, result in (results.items() if isinstance(results, dict) else ())
        if isinstance(result, list) and result
    }


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else -1.0
