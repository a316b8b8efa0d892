"""Whole sessions on an Ollama server: one that works, and ones that do not; nothing is applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from localagent.core.events import (
    Event,
    Failed,
    FileChanged,
    ModelReplied,
    ModelRequested,
    TurnFinished,
    Warned,
)
from localagent.models.base import ModelInfo, Profile
from localagent.models.ollama.backend import Ollama
from localagent.session.factory import open_session
from tests.doubles.ollama_server import DIGEST, Pulled
from tests.doubles.ollama_server import Ollama as Server
from tests.doubles.opening import opening

TASK = "Fix calc.py so that the tests in calc_test.py pass"
CHECK = "python -m pytest -q"
FIXED = "def add(a, b):\n    return a + b\n"
# What comes right after it makes the file wrong, so that a part of a reply would be seen.
REPLY = f"{FIXED}```\n"
REACT = "```write path=calc.py\ndef add(a, b):\n    return a + b\n```"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(answer=lambda body: REPLY) as running:
        yield running


def run(server: Server, folder: Path, planner: str = "workflow") -> list[Event]:
    """One turn; the watchdogs are short."""
    info = ModelInfo("toy", "ollama", DIGEST, Profile(planner=planner, fim=True, candidates=2))
    limits = {"silence": 0.5, "prefill": 0.5, "slowest": 1e9, "answer": 0.5, "comeback": 0.1}
    model = Ollama("toy:1b", info, host=server.url, **limits)
    given = opening(folder, check=CHECK, yes=True, planner=planner)
    with open_session(*given, model) as session:
        return list(session.run(TASK))


def content(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def end(events: list[Event]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    return events[-1]


def test_a_server_that_works(server: Server, workspace_dir: Path) -> None:
    events = run(server, workspace_dir)
    assert (end(events).outcome, end(events).changed) == ("solved", ["calc.py"])
    assert (workspace_dir / "calc.py").read_text() == FIXED
    assert end(events).prompt_tokens > 50
    windows = {b["options"]["num_ctx"] for b in server.bodies("/api/chat")}
    assert windows == {8192}


@pytest.mark.parametrize(
    ("fault", "error", "code", "planner"),
    [
        ("silent-truncation", "PromptTruncated", 4, "react"),
        ("silent-truncation", "PromptTruncated", 4, "workflow"),
        ("500", "ServerError", 4, "react"),
        ("hang-prefill", "WorkerHung", 4, "react"),
        ("hang-decode", "WorkerHung", 4, "react"),
        ("cut", "WorkerDied", 4, "react"),
        ("cut", "WorkerDied", 4, "workflow"),
        ("broken-json", "ServerError", 4, "react"),
        ("routed", "NotLocal", 3, "react"),
        ("redirect", "NotLocal", 3, "react"),
        ("unknown", "ModelNotInstalled", 2, "react"),
        ("digest", "ModelFileError", 4, "react"),
        ("cloud", "NotLocal", 3, "react"),
    ],
)
def test_a_fault_changes_nothing(
    server: Server, workspace_dir: Path, fault: str, error: str, code: int, planner: str
) -> None:
    server.fault, server.redirect_to = fault, "http://ollama.example"
    if planner == "react":
        server.answer = lambda body: REACT
    if fault in ("unknown", "digest", "cloud"):
        server.models = {
            "unknown": [],
            "digest": [Pulled("toy:1b", digest="f" * 64)],
            "cloud": [Pulled("toy:1b", remote_host="https://cloud.example")],
        }[fault]
    if fault == "silent-truncation":
        server.models = [Pulled("toy:1b", trained=60)]  # of a window that nobody told of
        server.version = "0.9.6"
    before = content(workspace_dir)
    events = run(server, workspace_dir, planner)
    assert content(workspace_dir) == before
    assert [event for event in events if isinstance(event, FileChanged)] == []
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.kind == error
    assert failed.hint
    assert end(events).exit_code == code
    if error not in ("WorkerHung", "WorkerDied"):  # those are asked again, and that is said
        assert len([e for e in events if isinstance(e, ModelRequested)]) == 1


def test_a_restart_in_mid_stream_is_made_good(server: Server, workspace_dir: Path) -> None:
    """The first reply is cut; the same question is asked again, and answered."""
    server.fault = "cut"
    events: list[Event] = []
    info = ModelInfo("toy", "ollama", DIGEST, Profile(candidates=2))
    with open_session(
        *opening(workspace_dir, check=CHECK, yes=True),
        Ollama("toy:1b", info, host=server.url, silence=5, comeback=2),
    ) as session:
        for event in session.run(TASK):
            events.append(event)
            if isinstance(event, Warned):
                server.fault = ""  # it is up again
    assert end(events).outcome == "solved"
    assert (workspace_dir / "calc.py").read_text() == FIXED
    assert any("asking again" in e.text for e in events if isinstance(e, Warned))
    assert any(isinstance(e, ModelReplied) for e in events)


@pytest.mark.parametrize(
    ("planner", "answer"), [("workflow", "It adds."), ("react", "```done\nIt adds.\n```")]
)
def test_a_turn_sends_what_the_server_has_read_and_goes_on_from_there(
    server: Server, workspace_dir: Path, planner: str, answer: str
) -> None:
    """A server keeps the state of one prompt, and reads anew from the first token that differs."""
    server.answer = lambda body: answer
    info = ModelInfo("toy", "ollama", DIGEST, Profile(planner=planner, candidates=2))
    given = opening(workspace_dir, check=CHECK, yes=True, planner=planner)
    with open_session(*given, Ollama("toy:1b", info, host=server.url)) as session:
        for question in ("What does add do?", "And with zero?", "Where is it called?"):
            assert end(list(session.run(question))).outcome == "answered"
    bodies = server.bodies("/api/chat")
    assert len(bodies) == 3
    assert len({repr(sorted(body["options"].items())) for body in bodies}) == 1
    for old, new in pairwise(map(sent, bodies)):
        assert new.startswith(old[: int(0.98 * len(old))])


def sent(body: dict) -> str:
    return "".join(f"<{m['role']}>{m['content']}" for m in body["messages"])
