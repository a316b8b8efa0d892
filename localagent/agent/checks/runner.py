"""Checks: finding the project's check command, running it in a view, and reading its result.

A check passes when its command exits with 0; nothing else decides. The rest of what is read here
(counts, failing tests, frames, executed lines) guides the search for a repair.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from localagent.agent.repair.mutation.expected_vs_actual import nearness
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.events import Blocked, CheckFinished, CheckStarted, Event, TurnKind, Warned
from localagent.redaction.unicode import without_escapes
from localagent.sandbox.base import Command, Completed, closed_port

PROBE_DIR = Path(__file__).resolve().parent / "probe"
_PROBE_MARK = "LOCALAGENT-PROBE "
# Characters of a check's output that are kept for people and for the transcript.
SHOWN_CHARS = 4000


@dataclass(frozen=True, slots=True)
class TestResult:
    """One test: its id, outcome ("passed", "failed", "skipped"), the assertion's message, the
    traceback as (path, line) pairs, the lines that it ran by path (where they were traced), and the
    statement that failed where the message has only the first of its lines."""

    __test__ = False  # not a test case of pytest

    id: str
    outcome: str
    message: str = ""
    frames: tuple[tuple[str, int], ...] = ()
    lines: dict[str, frozenset[int]] = field(default_factory=dict)
    statement: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found. `passed` and `failed` are numbers of tests, None where unknown.

    `usable` is False where the command itself could not run (not found, no such module). `near` is
    how near the failing tests are to passing (see `edits.differences.nearness`), added up.
    """

    command: str
    ok: bool
    exit_code: int
    timed_out: bool
    seconds: float
    output: str
    tests: tuple[TestResult, ...] = ()
    passed: int | None = None
    failed: int | None = None
    usable: bool = True
    near: float = 0.0

    @property
    def counts(self) -> tuple[bool, int, int]:
        """For comparing candidates by their tests alone: greater is better. Of those of which as
        many pass, the one is better of which more tests ran: what cannot be imported fails one."""
        return (self.ok, self.passed or 0, (self.passed or 0) + (self.failed or 0))

    @property
    def score(self) -> tuple[bool, int, int, float]:
        """For comparing candidates: greater is better. Of those of which the same number of tests
        pass, the one is better whose failing tests are nearer to passing."""
        return (*self.counts, self.near)

    @property
    def failing(self) -> tuple[TestResult, ...]:
        """The tests that failed, in the order in which they ran."""
        return tuple(t for t in self.tests if t.outcome == "failed")

    @property
    def passing(self) -> frozenset[str]:
        """The ids of the tests that passed."""
        return frozenset(t.id for t in self.tests if t.outcome == "passed")


NOT_WORSE = "the check still fails, but on nothing that passed before"


def ends_well(kind: TurnKind, start: CheckResult, result: CheckResult) -> bool:
    """Whether a turn's change is good enough, by the check before it and after it.

    The check passes; but for a step of a plan, after which others come, it is enough to be
    `not_worse`.
    """
    return result.ok or (kind == "step" and not_worse(start, result))


def not_worse(start: CheckResult, result: CheckResult) -> bool:
    """Whether nothing fails that passed before, as far as that is known."""
    if result.timed_out or not result.usable:
        return False
    if start.tests and result.tests:
        return start.passing <= result.passing
    if start.passed is not None and result.passed is not None:
        return result.passed >= start.passed
    return not start.ok


def run_check(
    turn: Turn,
    command: str,
    changes: Sequence[Change] = (),
    *,
    candidate: int = 0,
    seconds: float | None = None,
    trace: Sequence[str] = (),
    probe: bool = True,
    lean: bool = False,
) -> Generator[Event, None, CheckResult]:
    """Run `command` in a view of the workspace with `changes` made; the workspace is not touched.

    `seconds` limits its time (default: the session's `check_seconds`), `trace` names Python files
    whose executed lines are wanted for each test; `lean` is told of in `agent.lean_check`.
    """
    turn.ensure_within_limits()
    services = turn.services
    limit = services.check_seconds if seconds is None else seconds
    left = turn.seconds_left()
    if left is not None:
        limit = max(1.0, min(limit, left))
    yield CheckStarted(command, candidate)
    environment = _probe_environment(trace, lean=lean) if probe else {}
    with services.sandbox.open(services.workspace.root, changes) as view:
        done = view.run(
            Command(command, seconds=limit, env=environment), cancelled=turn.stop.is_set
        )
    if done.reached_for:
        who = f"the command {services.marks.hide(command)}"
        yield Blocked("network", done.reached_for, who)
        yield Warned(f"the sandbox refused to {done.reached_for} ({who})")
    turn.ensure_within_limits()
    result = read_result(command, done, turn.services.marks.hide)
    yield from turn.drain_redactions()
    if not result.ok and services.sandbox.confined:
        hint = closed_port(result.output, services.sandbox.ports)
        if hint and turn.ledger.next(hint) == 1:
            yield Warned(hint)
    yield CheckFinished(
        command,
        candidate,
        result.ok,
        result.exit_code,
        result.passed,
        result.failed,
        round(result.seconds, 3),
        result.output[-SHOWN_CHARS:],
    )
    return result


def _probe_environment(trace: Sequence[str], *, lean: bool) -> dict[str, str]:
    """The environment that loads the probe into any pytest that the check starts."""
    return {
        "PYTHONPATH": str(PROBE_DIR),
        "PYTEST_PLUGINS": "localagent_probe",
        # Presentation only; --maxfail=0 undoes an -x, since every test counts for the score.
        "PYTEST_ADDOPTS": "--tb=short --maxfail=0",
        "LOCALAGENT_PROBE_TRACE": ":".join(trace),
        **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if lean else {}),
    }


def read_result(
    command: str, done: Completed, hide: Callable[[str], str] = lambda text: text
) -> CheckResult:
    """Read what a finished check printed; its texts are passed through `hide`."""

    def shown(text: str) -> str:
        return hide(without_escapes(text))

    output, tests = _split_probe(done.output)
    output = shown(output)
    tests = tuple(
        replace(test, message=shown(test.message), statement=shown(test.statement))
        for test in tests
    )
    ok = done.exit_code == 0 and not done.timed_out
    if tests:
        passed: int | None = sum(t.outcome == "passed" for t in tests)
        failed: int | None = sum(t.outcome == "failed" for t in tests)
    else:
        passed, failed = _counts(output)
    return CheckResult(
        command=command,
        ok=ok,
        exit_code=done.exit_code,
        timed_out=done.timed_out,
        seconds=done.seconds,
        output=output.strip(),
        tests=tests,
        passed=passed,
        failed=failed,
        usable=not (done.not_found or _no_runner(output)),
        near=round(sum(nearness(t.message) for t in tests if t.outcome == "failed"), 3),
    )


def _no_runner(output: str) -> bool:
    """The check's own program is missing, rather than the code being wrong."""
    return re.search(r"No module named '?(pytest|unittest)'?\s*$", output) is not None


def _split_probe(output: str) -> tuple[str, tuple[TestResult, ...]]:
    """Part the probe's lines from the rest; several pytest runs in one check are joined."""
    kept: list[str] = []
    tests: list[TestResult] = []
    for line in output.splitlines():
        if not line.startswith(_PROBE_MARK):
            kept.append(line)
            continue
        try:
            tests.extend(_read_probe(json.loads(line[len(_PROBE_MARK) :])))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the checked code can print anything, also a line that looks like ours
    return "\n".join(kept), tuple(tests)


def _read_probe(data: dict[str, Any]) -> list[TestResult]:
    lines = data["lines"]
    return [
        TestResult(
            id=str(name),
            outcome=str(found["outcome"]),
            message=str(found.get("message", "")),
            statement=str(found.get("statement", "")),
            frames=tuple((str(path), int(line)) for path, line in found.get("frames", [])),
            lines={str(p): frozenset(map(int, ls)) for p, ls in lines.get(name, {}).items()},
        )
        for name, found in data["tests"].items()
    ]


# "3 failed, 11 passed" (pytest), "# pass 3" (node), "Tests: 1 failed, 5 passed" (jest),
# "test result: FAILED. 3 passed; 1 failed" (cargo).
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|passing|failing)\b|^# (pass|fail) (\d+)$", re.M)


def _counts(output: str) -> tuple[int | None, int | None]:
    passed = failed = None
    for match in _COUNT.finditer(output):
        number = int(match.group(1) or match.group(4))
        if (match.group(2) or match.group(3)).startswith("pass"):
            passed = number
        else:
            failed = number
    if (passed is None) != (failed is None):
        return passed or 0, failed or 0
    return passed, failed
