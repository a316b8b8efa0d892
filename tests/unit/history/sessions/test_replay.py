"""Replay: the recorded replies come back, and the first difference is found."""

from __future__ import annotations

import pytest

from localagent.core.errors import BackendError, WorkerDied
from localagent.core.events import (
    CheckFinished,
    Event,
    Failed,
    FileChanged,
    ModelReplied,
    ModelRequested,
    SessionStarted,
    Step,
    ToolReturned,
)
from localagent.core.messages import Message
from localagent.history.sessions.replay import ReplayModel, compare
from localagent.models.base import Finish, Model, Request, Text, Usage


def started(workspace: str, session: str) -> SessionStarted:
    return SessionStarted(session, workspace, "m", "", "react", "none", "0", False)


def run(workspace: str, session: str, seconds: str, failed: int = 1) -> list[Event]:
    output = f"FAILED {workspace}/a_test.py\n{failed} failed in {seconds}\n/tmp/pytest-{session}/x"
    return [
        started(workspace, session),
        Step("x", session),
        ToolReturned(1, "read", True, f"{workspace}/a.py: 3 lines", "shown"),
        CheckFinished("pytest", 0, False, 1, 0, failed, float(len(seconds)), output),
        FileChanged("a.py", "1", "2", "diff"),
    ]


def replied(text: str, finish: str = "stop") -> ModelReplied:
    return ModelReplied("p", text, finish, 10, 4, 3, 0.5, 0.25)


def ask(model: Model, start: str = "") -> tuple[str, Finish]:
    *pieces, last = model.generate(Request([Message("user", "x")], reply_start=start))
    assert isinstance(last, Finish)
    return "".join(piece.text for piece in pieces if isinstance(piece, Text)), last


def test_replies_come_in_order_with_their_counts() -> None:
    asked = ModelRequested("p", "prompt")
    model = ReplayModel([asked, replied("one ü"), asked, replied("```py\ntwo", "length")])
    assert ask(model) == ("one ü", Finish("stop", Usage(10, 4, 3, 0.5, 0.25)))
    text, finish = ask(model, start="```py\n")
    assert (text, finish.reason) == ("two", "length")
    with pytest.raises(BackendError, match="has only 2 replies, but another"):
        ask(model)


def test_a_recorded_failure_fails_again() -> None:
    asked = ModelRequested("p", "prompt")
    recorded = [asked, replied("one"), asked, Failed("WorkerDied", "it died"), asked, replied("3")]
    model = ReplayModel(recorded)
    assert ask(model)[0] == "one"
    with pytest.raises(WorkerDied, match="it died"):
        ask(model)
    assert ask(model)[0] == "3"


def test_cancelling() -> None:
    model = ReplayModel([ModelRequested("p", ""), replied("many words to come")])
    chunks = model.generate(Request([]))
    found = [next(chunks), next(chunks)]
    model.cancel()
    found.extend(chunks)
    assert len(found) == 3
    assert isinstance(found[-1], Finish) and found[-1].reason == "cancelled"


def test_runs_that_differ_in_noise_only_are_equal() -> None:
    old = run("/home/a/project", "20261122-1703-k3f9", "0.05s")
    new = run("/work/b/copy", "20270101-0000-aaaa", "12.10s")
    assert compare(old, new) is None


def test_the_first_difference_is_found() -> None:
    old, new = run("/w", "s1", "1s"), run("/w", "s1", "1s", failed=2)
    found = compare(old, [*new[:-1], FileChanged("b.py", "1", "2", "")])
    assert found is not None
    assert (found.number, found.field) == (2, "tests_failed")
    assert (found.recorded, found.new) == (old[3], new[3])
    assert "recorded: check_finished 1\n" in str(found)
    assert "now:      check_finished 2" in str(found)


@pytest.mark.parametrize("swap", [False, True])
def test_a_run_that_ends_early(swap: bool) -> None:
    old = run("/w", "s1", "1s")
    pair = (old[:-1], old) if swap else (old, old[:-1])
    found = compare(*pair)
    assert found is not None and found.number == 3
    assert (found.recorded is None) == swap
    assert "no further observation" in str(found)


def test_observations_of_another_kind() -> None:
    old = run("/w", "s1", "1s")
    found = compare(old, [old[0], old[3], old[2]])
    assert found is not None and (found.number, found.field) == (1, "")
