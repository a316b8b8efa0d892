"""A question that names log files is answered from their digest, sentence by sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.planners.workflow import Workflow
from localagent.core.events import TextDelta, ToolCalled
from localagent.tools.registry import standard_tools
from tests.doubles.log_files import SameProcess
from tests.doubles.scripted_turn import run_events, scripted_turn

LINES = [
    *(f"2026-11-28T09:{n:02}:00Z web-1 api: INFO tick" for n in range(60)),
    "2026-11-28T10:00:00Z db-1 kernel: I/O error, dev sdb",
    *(f"2026-11-28T10:03:{n:02}Z web-1 api: ERROR cannot reach db-1: refused" for n in range(40)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("localagent.logs.digest.Child", SameProcess)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "ws"
    root.mkdir()
    (root / "app.log").write_text("".join(f"{line}\n" for line in LINES))
    return root


def test_sentences_without_a_basis_never_appear(folder: Path) -> None:
    reply = 'At 10:00 the disk sdb failed. It says "all disks melted". At 11:11 it ended.'
    turn = scripted_turn(
        folder, "What broke first in app.log?", replies=[reply], tools=standard_tools()
    )
    events, result = run_events(Workflow().plan(turn))
    assert result.summary == "At 10:00 the disk sdb failed."
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said.strip() == result.summary
    (call,) = [event for event in events if isinstance(event, ToolCalled)]
    assert (call.tool, call.arguments) == ("logs", {"path": "app.log"})
    assert "probable first cause" in turn.services.model.prompts[0]  # type: ignore[attr-defined]
