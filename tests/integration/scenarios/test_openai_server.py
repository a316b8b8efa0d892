"""Whole sessions on a server with OpenAI's API: one that works, and ones that lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core.events import Event, Failed, FileChanged, TurnFinished
from localagent.models.base import ModelInfo
from localagent.models.catalog import manage
from localagent.models.openai.backend import OpenAiModel, server_address
from localagent.models.server.silence import SilenceLimits
from localagent.session.factory import open_session
from tests.doubles.openai_server import URL, OpenAiServer, settings
from tests.doubles.opening import opening

TASK = "Fix calc.py so that the tests in calc_test.py pass"
KEY = "sk-very-secret-0123456789"
FIXED = "def add(a, b):\n    return a + b\n"


def run(server: OpenAiServer, folder: Path, key: Path, planner: str, fault: str) -> list[Event]:
    """One turn on the server, which begins to lie after its model was pinned."""
    address = server_address(URL, settings(server_keys={"127.0.0.1": str(key)}))
    entry = manage.add_from_server(server.model, address).entry
    server.fault = fault
    profile = entry.profile.model_copy(update={"planner": planner, "candidates": 1}).profile()
    info = ModelInfo(entry.id, "openai", entry.pin, profile, form=entry.template)
    model = OpenAiModel(entry, info, address, SilenceLimits(0.5, 0.5, 1e9), comeback=0)
    given = opening(folder, check="python -m pytest -q", yes=True, planner=planner)
    with open_session(*given, model) as session:
        return list(session.run(TASK))


@pytest.mark.parametrize(
    ("planner", "fault", "error"),
    [
        ("react", "", ""),
        ("react", "truncation", "PromptTruncated"),
        ("workflow", "error-event", "ServerError"),
    ],
)
def test_a_turn(
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    workspace_dir: Path,
    tmp_path: Path,
    planner: str,
    fault: str,
    error: str,
) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    server = OpenAiServer(answer=lambda body: f"```write path=calc.py\n{FIXED}```")
    server.install(monkeypatch)
    before = (workspace_dir / "calc.py").read_text()
    events = run(server, workspace_dir, key, planner, fault)
    assert isinstance(events[-1], TurnFinished)
    changes = [event for event in events if isinstance(event, FileChanged)]
    failures = [event.kind for event in events if isinstance(event, Failed)]
    assert failures == ([error] if error else [])
    assert bool(changes) is not bool(error)
    assert (workspace_dir / "calc.py").read_text() == (before if error else FIXED)
    assert server.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    written = [path for path in home.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if KEY.encode() in path.read_bytes()]
