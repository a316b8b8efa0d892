"""Verdicts on small changes: two rounds of tests, and replies that are missing, late or wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from localagent.agent.checks.fork_check import ForkCheck, ForkVerdict
from localagent.agent.checks.runner import CheckResult, TestResult

BEFORE = "def f():\n    a = 1\n    b = 2\n    return a\n"
TESTS = ["t.py::bad", "t.py::good", "t.py::far"]
RESULTS = (
    TestResult("t.py::bad", "failed", "message", lines={"m.py": frozenset({2, 3, 4})}),
    TestResult("t.py::good", "passed", lines={"m.py": frozenset({2, 3})}),
    TestResult("t.py::far", "passed", lines={"m.py": frozenset({9})}),
)
BASE = CheckResult("pytest", False, 1, False, 1.0, "", RESULTS, 2, 1)
FAILED = {"number": 0, "fault": "", "results": {TESTS[0]: ["failed", "message"]}, "seconds": 0.1}
Request = dict[str, Any]
Answer = Callable[[Request], list[Any]]


class FakeServer:
    """Answers each request by a function; `requests` are those so far."""

    def __init__(self, answer: Answer, first: object = None) -> None:
        self.requests: list[Request] = []
        self.first: Request = FAILED
        self._answer = answer
        self._replies: deque[Any] = deque([{"ready": True} if first is None else first])

    def send(self, request: Request) -> bool:
        self.requests.append(request)
        self._replies.extend([self.first] if request["number"] == 0 else self._answer(request))
        return True

    def receive(self, seconds: float) -> Any:
        return self._replies.popleft() if self._replies else None


def fork_check(answer: Answer, first: object = None) -> tuple[ForkCheck, FakeServer]:
    server = FakeServer(answer, first)
    check = ForkCheck(server, BASE)  # type: ignore[arg-type]
    assert check.prepare(1) == (first is None)
    return check, server


def reply(request: Request, fault: str = "", **results: str) -> list[Any]:
    outcomes = {f"t.py::{name}": [r, ""] for name, r in results.items()}
    return [{"number": request["number"], "fault": fault, "results": outcomes, "seconds": 0.1}]


def judge(answer: Answer, *lines: str) -> tuple[list[ForkVerdict], FakeServer, ForkCheck]:
    check, server = fork_check(answer)
    texts = [BEFORE.replace("a = 1", line) for line in lines]
    return list(check.judge("m.py", BEFORE, texts)), server, check


def test_the_failing_tests_run_first_then_those_that_reach_the_line() -> None:
    verdicts, server, _ = judge(
        lambda r: reply(r, **{"bad": "passed"} if r["run"] == TESTS[:1] else {}), "a = 2"
    )
    assert [(r["lines"], r["text"], r["run"]) for r in server.requests[1:]] == [
        ((1, 2), "    a = 2", TESTS[:1]),
        ((1, 2), "    a = 2", TESTS[1:2]),
    ]
    assert [(v.fixed, v.broken, len(v.fixed) > len(v.broken)) for v in verdicts] == [
        ({"t.py::bad"}, set(), True)
    ]


def test_a_change_that_breaks_as_much_as_it_fixes() -> None:
    def answer(request: Request) -> list[Any]:
        good = request["run"] == TESTS[1:2]
        return reply(request, good="failed") if good else reply(request, bad="passed")

    (verdict,), _, _ = judge(answer, "a = 2")
    assert (verdict.fixed, verdict.broken) == ({"t.py::bad"}, {"t.py::good"})


def test_a_wrong_value_that_is_nearer_gains() -> None:
    check, server = fork_check(lambda r: r["answers"])
    check._messages = {TESTS[0]: "assert f() == 2\nAssertionError: assert 'tin' == 'Ten green'"}
    near = "assert f() == 2\nAssertionError: assert 'Ten grey' == 'Ten green'"
    far = "NameError: name 'x' is not defined"
    gains = [check.gain(ForkVerdict("", messages={TESTS[0]: text})) for text in (near, far)]
    assert gains[0] > 0 > gains[1]
    assert check.gain(ForkVerdict("", fixed=frozenset({TESTS[0]}))) > gains[0]
    assert server.requests[0]["number"] == check.gain(ForkVerdict("", same=True)) == 0


def test_the_messages_of_another_failure_are_kept() -> None:
    def answer(request: Request) -> list[Any]:
        results = {TESTS[0]: ["failed", "another"]}
        return [{"number": request["number"], "fault": "", "results": results, "seconds": 0.1}]

    verdicts, _, _ = judge(answer, "a = 2")
    assert [(v.same, dict(v.messages)) for v in verdicts] == [(False, {TESTS[0]: "another"})]


def test_one_that_changes_nothing_is_the_same() -> None:
    verdicts, server, _ = judge(reply, "a = 2", "a = 3")
    assert [(v.same, v.judged, len(v.fixed) > len(v.broken)) for v in verdicts] == [
        (True, True, False)
    ] * 2
    assert len(server.requests) == 3


@pytest.mark.parametrize(("fault", "judged"), [("refused: default", False), ("timeout", True)])
def test_faults(fault: str, judged: bool) -> None:
    (verdict,), _, check = judge(lambda r: reply(r, fault), "a = 2")
    assert (verdict.judged, verdict.same, verdict.fixed) == (judged, False, set())
    assert check.alive


def test_a_fix_of_code_that_ran_at_import_is_a_fix_too() -> None:
    (verdict,), _, _ = judge(lambda r: reply(r, "refused: ran", bad="passed"), "a = 2")
    assert verdict.fixed == {"t.py::bad"}


@pytest.mark.parametrize(("seconds", "run"), [(0.1, 6), (0.45, 2), (60.0, 1)])
def test_of_slow_tests_some_judge(seconds: float, run: int) -> None:
    tests = tuple(TestResult(f"t.py::bad{n}", "failed") for n in range(6))
    server = FakeServer(reply)
    check = ForkCheck(server, replace(BASE, tests=tests))  # type: ignore[arg-type]
    results = {test.id: ["failed", ""] for test in tests}
    server.first = {"number": 0, "results": results, "seconds": seconds}
    assert check.prepare(1)
    list(check.judge("m.py", BEFORE, [BEFORE.replace("a = 1", "a = 2")]))
    assert len(server.requests[-1]["run"]) == run


def test_of_many_failing_tests_different_ones_judge() -> None:
    messages = ["a"] * 30 + ["b"] * 30 + ["c"]
    tests = tuple(TestResult(f"t.py::{n}", "failed", m) for n, m in enumerate(messages))
    server = FakeServer(reply)
    ForkCheck(server, replace(BASE, tests=tests)).prepare(1)  # type: ignore[arg-type]
    assert {"t.py::0", "t.py::30", "t.py::60"} <= set(server.requests[0]["run"])
    assert len(server.requests[0]["run"]) == 12


def test_tests_that_a_check_broke_run_from_then_on() -> None:
    check, server = fork_check(lambda r: reply(r, bad="passed"))
    check.watch(["t.py::far"])
    list(check.judge("m.py", BEFORE, [BEFORE.replace("a = 1", "a = 2")]))
    assert server.requests[-1]["run"] == ["t.py::good", "t.py::far"]


def test_a_server_that_ends_gives_no_more_verdicts() -> None:
    verdicts, _, check = judge(
        lambda r: reply(r) if r["number"] == 1 else [], "a = 2", "a = 3", "a = 4"
    )
    assert (len(verdicts), check.alive) == (1, False)


@pytest.mark.parametrize(
    "garbage",
    [
        {"number": 77, "results": {TESTS[0]: ["passed", ""]}},
        {"number": [], "results": 3},
        {"results": {TESTS[0]: ["passed", ""]}},
    ],
)
def test_replies_to_no_question_are_left_out(garbage: Request) -> None:
    verdicts, _, _ = judge(lambda r: [garbage, *reply(r)], "a = 2")
    assert [v.same for v in verdicts] == [True]


@pytest.mark.parametrize(
    "results", [None, [], {"x": ["passed"]}, {TESTS[1]: ["passed"]}, {TESTS[0]: "passed"}]
)
def test_malformed_results_count_for_nothing(results: object) -> None:
    def answer(request: Request) -> list[Any]:
        return [{"number": request["number"], "results": results}]

    (verdict,), _, _ = judge(answer, "a = 2")
    assert not verdict.fixed


@pytest.mark.parametrize("first", [{}, {"tests": 3}])
def test_no_use_without_the_failing_tests(first: object) -> None:
    fork_check(reply, first)
