"""A question of a session whose index is still being built; files are then listed by git."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.limits import LOOP
from localagent.agent.planners import answer_prompt
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Turn
from localagent.core.events import Step, Warned
from localagent.index.base import Passage
from tests.doubles.scripted_turn import PythonIndex, run_events, scripted_turn


class SlowIndex(PythonIndex):
    """Finds nothing before its third refresh."""

    refreshed = 0

    def refresh(self) -> None:
        self.refreshed += 1

    def ready(self) -> bool:
        return self.refreshed >= 3

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        return super().passages(query, limit) if self.ready() else []


def asking(folder: Path) -> Turn:
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    turn = scripted_turn(folder, "What does add do?", replies=["It subtracts."])
    turn.services = replace(turn.services, index=SlowIndex(folder))
    return turn


def prompts(turn: Turn) -> list[str]:
    return turn.services.model.prompts  # type: ignore[attr-defined]


def test_a_question_waits_for_the_index(tmp_path: Path) -> None:
    turn = asking(tmp_path)
    events, _ = run_events(Workflow().plan(turn))
    assert "def add(a, b):" in prompts(turn)[0]
    assert [e.detail for e in events if isinstance(e, Step)].count("waiting for the index") == 1


def test_a_question_does_not_wait_long_for_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_prompt, "LOOP", replace(LOOP, index_seconds=0.0))
    turn = asking(tmp_path)
    events, _ = run_events(Workflow().plan(turn))
    assert "def add(a, b):" not in prompts(turn)[0]
    assert ["may lack code" in e.text for e in events if isinstance(e, Warned)] == [True]
