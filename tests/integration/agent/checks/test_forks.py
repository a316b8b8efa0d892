"""A real fork server: it finds a fix, and outlives what the checked code does to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from localagent.agent.checks.forks import Forks
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.turn import Turn
from localagent.core.changes import file_change
from tests.doubles.plain_turn import turn_in
from tests.doubles.scripted_turn import run_events

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the server forks")
WRONG = """\
import os, signal

def add(a, b):
    c = a - b
    return c
"""
TESTS = """\
from calc import add

def test_add():
    assert add(2, 3) == 5

def test_zero():
    assert add(0, 0) == 0
"""


@pytest.fixture
def turn(workspace_dir: Path) -> Turn:
    (workspace_dir / "calc.py").write_text(WRONG)
    (workspace_dir / "calc_test.py").write_text(TESTS)
    return turn_in(workspace_dir)


@pytest.fixture
def start(turn: Turn) -> CheckResult:
    return run_events(run_check(turn, "python -m pytest -q", trace=["calc.py"]))[1]


@pytest.fixture
def forks(turn: Turn) -> Iterator[Forks]:
    with closing(Forks(turn, "python -m pytest -q", lean=False)) as made:
        yield made


def test_verdicts_of_a_real_server(forks: Forks, start: CheckResult) -> None:
    fork = run_events(forks.start([], start))[1]
    assert fork is not None
    lines = [
        "    c = a + b",
        "    c = a + b + 1 - 1 if a else 1",
        "    c = a - b - 1",
        "    c = a -",
        "    os._exit(0)",
        "    print('LOCALAGENT-FORK {\"number\": 1}'); raise SystemExit",
        "    os.kill(os.getppid(), signal.SIGSTOP) if a > 5 else os.abort()",
        "    while a: pass",
        "    os.closerange(3, 99)",
    ]
    texts = [WRONG.replace("    c = a - b", line) for line in lines]
    texts.append(WRONG.replace("(a, b)", "(a, b=1)"))
    found = {v.text: v for v in fork.judge("calc.py", WRONG, texts)}
    assert list(found) != [] and set(found) == set(texts), "each has a verdict"
    assert {texts.index(t) for t, v in found.items() if len(v.fixed) > len(v.broken)} == {0}
    assert found[texts[1]].broken == {"calc_test.py::test_zero"}
    assert [t for t, v in found.items() if not v.judged] == texts[-1:]
    assert fork.alive


def test_fresh_forks_judge_what_runs_at_import(turn: Turn, forks: Forks) -> None:
    text = WRONG.replace("(a, b):", "(a, b, sign=MINUS):").replace("a - b", "a + sign * b")
    text = text.replace("\n\n", "\n\nMINUS = -1\n\n", 1)
    (turn.services.workspace.root / "calc.py").write_text(text)
    _, start = run_events(run_check(turn, "python -m pytest -q", trace=["calc.py"]))
    collected = run_events(forks.start([], start))[1]
    fresh = run_events(forks.start([], start, "fresh"))[1]
    assert collected is not None
    assert fresh is not None
    texts = [text.replace("MINUS = -1", f"MINUS = {n}") for n in ("1", "0", "(")]
    judged = {v.text: v.judged for v in collected.judge("calc.py", text, texts)}  # in any order
    assert [judged[t] for t in texts] == [False, False, True]
    found = {v.text: v for v in fresh.judge("calc.py", text, texts)}
    assert [bool(found[t].fixed) for t in texts] == [True, False, False]


def test_fresh_forks_judge_what_stops_the_collection(turn: Turn, forks: Forks) -> None:
    text = WRONG.replace("a - b", "a + b") + "\nLAST = add(1)\n"
    (turn.services.workspace.root / "calc.py").write_text(text)
    _, start = run_events(run_check(turn, "python -m pytest -q"))
    fork = run_events(forks.start([], start))[1]
    assert fork is not None
    texts = [text.replace("add(1)", new) for new in ("add(1, 2)", "add()")]
    found = {v.text: v for v in fork.judge("calc.py", text, texts)}
    assert [found[t].fixed for t in texts] == [{"calc_test.py"}, set()]


def test_a_server_that_is_killed_is_no_more_use(forks: Forks, start: CheckResult) -> None:
    fork = run_events(forks.start([], start))[1]
    assert fork is not None
    text = WRONG.replace("    c = a - b", "    os.kill(os.getppid(), signal.SIGKILL); c = 0")
    assert list(fork.judge("calc.py", WRONG, [text, text + "\n"])) == []
    assert forks.running is None


def test_changes_of_another_text_than_the_workspace(forks: Forks, turn: Turn) -> None:
    text = (
        WRONG.replace("    c = a - b", "    c = times(a, b)")
        + "\ndef times(a, b):\n    return a * b\n"
    )
    change = file_change("calc.py", text.encode())
    _, base = run_events(run_check(turn, "python -m pytest -q", [change], trace=["calc.py"]))
    fork = run_events(forks.start([change], base))[1]
    assert fork is not None
    (verdict,) = fork.judge("calc.py", text, [text.replace("return a * b", "return a + b")])
    assert verdict.fixed == {"calc_test.py::test_add"}


def test_a_check_without_the_probe_has_no_forks(turn: Turn, start: CheckResult) -> None:
    with closing(Forks(turn, "true", lean=False)) as forks:
        assert run_events(forks.start([], start))[1] is None
        assert not forks.usable
