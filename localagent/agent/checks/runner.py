"""Run the check command in a snapshot of the workspace, and read its result.

A check passes if its command exits with 0; nothing else decides. The rest of the result (counts,
failing tests, frames, executed lines) guides the search.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from localagent.agent.checks.failure_messages import nearness
from localagent.agent.checks.probe_loading import cannot_load, probe_environment, probed_command
from localagent.agent.checks.reported_failures import reported_failures
from localagent.agent.limits import LOOP, SEARCH
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.events import Blocked, CheckFinished, CheckStarted, Event, TurnKind, Warned
from localagent.project.python_environment import check_variables
from localagent.redaction.unicode import without_escapes
from localagent.sandbox.base import Command, CommandResult, closed_port_hint

_PROBE_MARK = "LOCALAGENT-PROBE "
_REPORT_BYTES = 64 << 20
_NEED_NETWORK = (
    "tests that need the network fail in the sandbox; "
    "--check CMD, or /check CMD in a session, can leave them out"
)
NOT_WORSE = "the check still fails, but on nothing that passed before"
UNTESTED = "the check passes, but no test runs the change"
CANNOT_RUN = "all tests pass but those that cannot run here"
FAILED_BEFORE = "that failed before and that the task is not about"
"""What follows the number of failing tests that do not count."""
ONLY_TEXT = "tests say nothing about a text"
NO_TEST = "the check passes, but no test was added"
SILENT = "the check passes, but it reports no passed test any more"
UNDEFINED = "the check passes, but the change does not define "
"""A name that the task asks for follows."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """The result of one test of a check.

    `outcome` is "passed", "failed" or "skipped"; `message` is the failure's message. `frames` is
    the traceback as (path, line) pairs, outermost first. `lines` maps each traced path to its
    executed lines. `statement` is the whole failing statement if `message` has only a part of it.
    """

    __test__ = False  # not a test case of pytest

    id: str
    outcome: str
    message: str = ""
    frames: tuple[tuple[str, int], ...] = ()
    lines: dict[str, frozenset[int]] = field(default_factory=dict)
    statement: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one run of the check. `passed` and `failed` count tests; None means unknown.

    Without the probe, `tests` is empty, and `reported` has the failed tests that the output shows;
    if it shows none, one failed test without an id stands for the check.

    `usable` is False if the command itself could not run (not found, no such module). `nearness` is
    the sum of the failing tests' nearness to passing; see `failure_messages.nearness`.
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
    nearness: float = 0.0
    reported: tuple[TestResult, ...] = ()

    @property
    def counts(self) -> tuple[bool, int, int]:
        """A sort key: more passed tests are better, then more collected tests.

        A candidate that breaks an import collects fewer tests.
        """
        return (self.ok, self.passed or 0, (self.passed or 0) + (self.failed or 0))

    @property
    def score(self) -> tuple[bool, int, int, float]:
        """A sort key: greater `counts` are better, then a greater sum of `nearness`."""
        return (*self.counts, self.nearness)

    @property
    def failing(self) -> tuple[TestResult, ...]:
        """The failed tests, in the order in which they ran."""
        return tuple(t for t in self.tests or self.reported if t.outcome == "failed")

    @property
    def passing(self) -> frozenset[str]:
        """The ids of the passed tests."""
        return frozenset(t.id for t in self.tests if t.outcome == "passed")


def most_pass(result: CheckResult) -> bool:
    """Whether at least half of the tests pass, so that a small change may suffice.

    All cases of a parametrized test count as one test.
    """
    failing = {test.id.partition("[")[0] for test in result.failing}
    passing = {test.partition("[")[0] for test in result.passing}
    if not passing:
        return (result.passed or 0) >= (result.failed or 0)
    return len(passing - failing) >= len(failing)


def ends_well(kind: TurnKind, start: CheckResult, result: CheckResult) -> bool:
    """Whether a turn's change is good enough, by the checks before and after it.

    The check has to pass, and not by ending before its tests. If the turn is a step of a plan with
    later steps, `not_worse` is enough.
    """
    if is_silent(start, result):
        return False
    return result.ok or (kind == "step" and not_worse(start, result))


def is_silent(start: CheckResult, result: CheckResult) -> bool:
    """Whether a check passes without a passed test, although it reported its tests at the start.

    Code that ends the test runner's process with 0 does that.
    """
    return result.ok and bool(start.passed or start.tests) and not (result.passed or result.passing)


def not_worse(start: CheckResult, result: CheckResult) -> bool:
    """Whether every test that passed before still passes; without test ids, compare the counts."""
    if result.timed_out or not result.usable:
        return False
    if start.tests and result.tests:
        return start.passing <= result.passing
    if start.passed is not None and result.passed is not None:
        return result.passed >= start.passed
    return not start.ok


def without_tests(result: CheckResult, ids: Collection[str]) -> CheckResult:
    """The result as if these tests were not there; it passes if all other tests do."""
    if not ids or not result.tests:
        return result
    tests = tuple(test for test in result.tests if test.id not in ids)
    failing = [test for test in tests if test.outcome == "failed"]
    passed = sum(test.outcome == "passed" for test in tests)
    only_tests_fail = result.exit_code == 1 and not result.timed_out and passed > 0
    return replace(
        result,
        ok=result.ok or (only_tests_fail and not failing),
        tests=tests,
        passed=passed,
        failed=len(failing),
        nearness=_nearness(failing),
    )


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
    excluded: Collection[str] | None = None,
) -> Generator[Event, None, CheckResult]:
    """Run `command` in a snapshot of the workspace with `changes`; the workspace stays untouched.

    `seconds` limits the command's time (default: the session's `check_seconds`). `trace` names
    Python files; the result then holds each test's executed lines in these files. `lean` runs
    pytest without plug-ins; see `checks.baseline`. `excluded` are the tests that do not count
    (default: those of the turn). If the probe cannot be loaded, the command runs without it, now
    and for the rest of the turn.
    """
    turn.ensure_within_limits()
    services = turn.services
    yield CheckStarted(command, candidate)
    done = None
    if probe and command not in turn.unprobed:
        variables = probe_environment(trace, lean=lean)
        line = probed_command(command, variables)
        done = _run(turn, line, changes, seconds, variables)
        if cannot_load(done.output):
            turn.unprobed.add(command)
            done = None
    if done is None:
        done = _run(turn, command, changes, seconds, {})
    if done.blocked:
        yield from report_blocked(turn, done.blocked, f"the command {command}")
    turn.ensure_within_limits()
    result = read_result(command, done, services.redactor.redact, str(services.workspace.root))
    result = without_tests(result, turn.excluded if excluded is None else excluded)
    yield from turn.drain_redactions()
    if not result.ok and done.blocked and turn.ledger.next(_NEED_NETWORK) == 1:
        yield Warned(_NEED_NETWORK)
    if not result.ok and services.sandbox.confined:
        hint = closed_port_hint(result.output, services.sandbox.ports)
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
        result.output[-LOOP.output_chars :],
    )
    return result


def report_blocked(turn: Turn, blocked: str, who: str) -> Iterator[Event]:
    """Record blocked connections; warn the user about the first ones of a turn only."""
    who = turn.services.redactor.redact(who)
    yield Blocked("network", blocked, who)
    if turn.ledger.next("blocked connections of checks") == 1:
        yield Warned(f"the sandbox refused to {blocked} ({who})")


def _run(
    turn: Turn,
    command: str,
    changes: Sequence[Change],
    seconds: float | None,
    environment: dict[str, str],
) -> CommandResult:
    services, left = turn.services, turn.seconds_left()
    limit = services.check_seconds if seconds is None else seconds
    if left is not None:
        limit = max(1.0, min(limit, left))
    root = services.workspace.root
    environment = check_variables(root) | environment
    with services.sandbox.open(root, changes) as snapshot:
        return snapshot.run(
            Command(command, seconds=limit, env=environment), cancelled=turn.stop.is_set
        )


def read_result(
    command: str,
    done: CommandResult,
    redact: Callable[[str], str] = lambda text: text,
    root: str = "",
) -> CheckResult:
    """Read the output of a check in `root`; `redact` is applied to all texts of the result."""

    def clean(text: str) -> str:
        return redact(without_escapes(text))

    output, tests = _split_probe(done.output)
    output = clean(output)
    tests = tuple(
        replace(test, message=clean(test.message), statement=clean(test.statement))
        for test in tests
    )
    if tests:
        passed: int | None = sum(t.outcome == "passed" for t in tests)
        failed: int | None = sum(t.outcome == "failed" for t in tests)
    else:
        passed, failed = _counts(output)
    # The program that the check runs is missing, so the result says nothing about the code.
    no_runner = re.search(r"No module named '?(pytest|unittest)'?\s*$", output) is not None
    ok = done.exit_code == 0 and not done.timed_out
    reported = () if tests or ok or done.timed_out else _reported(output, root)
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
        usable=not (done.is_missing or no_runner),
        nearness=_nearness(t for t in tests or reported if t.outcome == "failed"),
        reported=reported,
    )


def _nearness(failing: Iterable[TestResult]) -> float:
    return round(sum(nearness(test.message) for test in failing), 3)


def _reported(output: str, root: str) -> tuple[TestResult, ...]:
    found = reported_failures(output, root)
    if found:
        return tuple(TestResult(f.id, "failed", f.message, f.frames) for f in found)
    tail = "\n".join(output.splitlines()[-SEARCH.failure_output_lines :])
    return (TestResult("", "failed", tail[-SEARCH.failure_output_chars :]),)


_MALFORMED = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError),
    zlib.error,
)


def _split_probe(output: str) -> tuple[str, tuple[TestResult, ...]]:
    """Separate the probe's lines from other output, and join the tests of several pytest runs."""
    rest: list[str] = []
    tests: list[TestResult] = []
    for line in output.splitlines():
        if not line.startswith(_PROBE_MARK):
            rest.append(line)
            continue
        try:
            tests.extend(_read_probe(_unpacked(json.loads(line[len(_PROBE_MARK) :]))))
        except _MALFORMED:
            continue  # the checked code may print a line that looks like the probe's
    return "\n".join(rest), tuple(tests)


def _unpacked(data: dict[str, Any]) -> dict[str, Any]:
    """The probe's report, which is compressed if it is long."""
    if "packed" not in data:
        return data
    packed = base64.b64decode(data["packed"])
    # the checked code may print a line like the probe's, with any amount of compressed text
    report: dict[str, Any] = json.loads(zlib.decompressobj().decompress(packed, _REPORT_BYTES))
    return report


def _read_probe(data: dict[str, Any]) -> list[TestResult]:
    lines = data["lines"]
    return [
        TestResult(
            id=str(name),
            outcome=str(test["outcome"]),
            message=str(test.get("message", "")),
            statement=str(test.get("statement", "")),
            frames=tuple((str(path), int(line)) for path, line in test.get("frames", [])),
            lines={str(p): frozenset(map(int, ls)) for p, ls in lines.get(name, {}).items()},
        )
        for name, test in data["tests"].items()
    ]


# "3 failed, 11 passed" (pytest), "# pass 3" (node), "Tests: 1 failed, 5 passed" (jest),
# "test result: FAILED. 3 passed; 1 failed" (cargo).
# Python converts no number of more than 4,300 digits.
_COUNT = re.compile(
    r"(?<!\d)(\d{1,9}) (passed|failed|errors?|passing|failing)\b|^# (pass|fail) (\d{1,9})$", re.M
)

# "Ran 14 tests in 0.01s", then "OK" or "FAILED (failures=2, errors=1, skipped=1)" (unittest).
_UNITTEST = re.compile(r"^Ran (\d{1,9}) tests? in .*\n+(?:OK|FAILED)\b(.*)$", re.M)
_SUM = re.compile(r"\b([a-z][a-z ]*)=(\d{1,9})(?!\d)")


def _counts(output: str) -> tuple[int | None, int | None]:
    """The numbers of passed and failed tests that common test runners print; None if unknown."""
    passed = failed = None
    for match in _UNITTEST.finditer(output):
        sums = {name: int(number) for name, number in _SUM.findall(match[2])}
        failed = sum(number for name, number in sums.items() if name in ("failures", "errors"))
        passed = int(match[1]) - sum(sums.values())
    for match in _COUNT.finditer(output):
        number = int(match.group(1) or match.group(4))
        if (match.group(2) or match.group(3)).startswith("pass"):
            passed = number
        else:
            failed = number
    if (passed is None) != (failed is None):
        return passed or 0, failed or 0
    return passed, failed
