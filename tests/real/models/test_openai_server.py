"""The OpenAI server that comes with llama-cpp-python, with a model of random weights.

It needs the packages of `llama-cpp-python[server]`. The random model writes nonsense, so what
counts is each step on the way. LOCALAGENT_TEST_SERVED_MODEL names a real model to serve instead.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from random_model import random_model

from localagent.config.settings import Settings
from localagent.core.errors import ModelFileError, WorkerDied
from localagent.core.events import ModelReplied, TurnFinished
from localagent.core.messages import Message
from localagent.linux import syscalls
from localagent.models.base import Chunk, Finish, Request, Text
from localagent.models.catalog import manage
from localagent.models.catalog.lock import ModelEntry
from localagent.models.openai import scan
from localagent.models.openai.backend import server_address
from localagent.models.openai.ports import UsualServer
from localagent.session.factory import open_session
from localagent.session.models import open_model
from tests.doubles.opening import opening

REAL = os.environ.get("LOCALAGENT_TEST_SERVED_MODEL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900 if REAL else 300),
    pytest.mark.skipif(
        not all(map(importlib.util.find_spec, ("fastapi", "uvicorn", "sse_starlette"))),
        reason="the server's packages are missing: pip install llama-cpp-python[server]",
    ),
]
# The server holds back bytes that are no text yet, so the reply is letters.
LETTERS = "root ::= [a-z]+"
ASK = Request((Message("user", "Say something."),), max_tokens=40, grammar=LETTERS)
LONG = Request(ASK.prompt, max_tokens=2000, grammar=LETTERS)


class Server:
    """The server's process, on a port of its own."""

    def __init__(self, model: Path) -> None:
        self.model = model
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        command = [sys.executable, "-m", "llama_cpp.server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--model", str(self.model), "--n_ctx", "16384"]
        self.process = subprocess.Popen(
            [*command, "--n_threads", "1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=partial(syscalls.die_with_parent, signal.SIGKILL),
        )
        until = time.monotonic() + 200
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.url}/models", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError("the server does not start")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    if REAL:
        model = Path(shutil.copy(REAL, folder))  # a test changes it
    else:
        model = random_model(folder, "llama", context_length=16384)
    made = Server(model)
    made.start()
    yield made
    made.kill()


def pin(server: Server) -> ModelEntry:
    address = server_address(server.url, Settings())
    return manage.add_from_server(str(server.model), address, "toy", 16384).entry


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def test_scanned_pinned_asked_cancelled_killed_restarted_and_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "USUAL_SERVERS", (UsualServer("a server", server.port),))
    (listing,) = scan.scan_servers(Settings())
    assert listing.models == (str(server.model),)
    entry = pin(server)
    assert entry.report["software"] == "llama-cpp-python"
    assert len(str(entry.report["sha256"])) == 64
    model = open_model(entry, Settings())
    try:
        first = list(model.generate(ASK))
        assert text(first).isalpha()
        choice = Request(ASK.prompt, max_tokens=8, choices=("yes", "no"))
        assert text(list(model.generate(choice))) in ("yes", "no")
        begun = Request(ASK.prompt, max_tokens=20, reply_start="1.")
        assert not text(list(model.generate(begun))).startswith("1.")

        chunks = []
        for chunk in model.generate(LONG):
            chunks.append(chunk)
            if isinstance(chunk, Text):
                model.cancel()
        assert isinstance(chunks[-1], Finish)
        assert chunks[-1].reason == "cancelled"

        with pytest.raises(WorkerDied):
            for chunk in model.generate(LONG):
                if isinstance(chunk, Text):
                    server.kill()
        server.start()
        assert text(list(model.generate(ASK))).isalpha()

        data = bytearray(server.model.read_bytes())
        data[-1] ^= 1
        server.model.write_bytes(data)
        with pytest.raises(ModelFileError, match="its sha256 is"):
            list(model.generate(ASK))
    finally:
        model.close()


@pytest.mark.parametrize("planner", ["workflow", "react"])
def test_a_whole_turn(server: Server, workspace_dir: Path, planner: str) -> None:
    entry = pin(server)
    profile = entry.profile.model_copy(update={"planner": planner, "candidates": 1})
    model = open_model(entry.model_copy(update={"profile": profile}), Settings())
    given = opening(
        workspace_dir,
        check=f"{sys.executable} -m pytest -q",
        yes=True,
        planner=planner,
        max_seconds=200 if REAL else 60,
    )
    before = (workspace_dir / "calc.py").read_bytes()
    with open_session(*given, model) as session:
        events = list(session.run("Fix calc.py so that the tests in calc_test.py pass"))
    assert isinstance(events[-1], TurnFinished)
    replies = [event for event in events if isinstance(event, ModelReplied)]
    assert any(reply.completion_tokens for reply in replies), [type(e).__name__ for e in events]
    # The search finds the fix without the model.
    solved = events[-1].outcome == "solved"
    assert solved or planner == "react"
    assert REAL or not solved or planner == "workflow"
    assert ((workspace_dir / "calc.py").read_bytes() == before) is not solved
