"""The model chooses among candidates; sentences that the logs do not back are dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.log_questions import (
    answer_prompt,
    answer_question,
    choice_prompt,
    explain_prompt,
    verified,
)
from localagent.context.prompts import Prompts
from localagent.logs.incident import find_incident
from localagent.logs.store import digest_of
from localagent.models.scripted import ScriptedModel, ScriptedReply
from tests.doubles.log_files import SameProcess

LINES = [
    *(f"2026-11-28T09:{n:02}:00Z web-1 api: INFO tick" for n in range(60)),
    "2026-11-28T10:00:00Z db-1 kernel: I/O error, dev sdb",
    "2026-11-28T10:02:00Z web-1 cron: INFO rotate logs started",
    *(f"2026-11-28T10:03:{n:02}Z web-1 api: ERROR cannot reach db-1: refused" for n in range(40)),
]
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "prompts"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setattr("localagent.logs.digest.Child", SameProcess)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    Path("app.log").write_text("".join(f"{line}\n" for line in LINES))
    return "app.log"


def test_the_model_chooses_and_its_answer_is_checked(logs: str) -> None:
    digest = digest_of([logs])
    reply = "Logs of web-1 were rotated at 10:02.\nThe log says `disk melted`.\nAt 07:77 it rained."
    model = ScriptedModel([ScriptedReply("B", when="first cause"), ScriptedReply(reply)])
    events: list[object] = []
    answer = answer_question(
        model, Prompts(), digest, find_incident(digest), "why?", 10, events.append
    )
    assert answer.text == "Logs of web-1 were rotated at 10:02."
    assert answer.incident is not None
    assert "rotate" in answer.incident.candidates[0].place.text


def test_golden_prompts(logs: str) -> None:
    digest = digest_of([logs])
    incident = find_incident(digest)
    assert incident is not None
    assert f"{choice_prompt(Prompts(), incident)}\n" == (GOLDEN / "logs-choose.txt").read_text()
    prompt = answer_prompt(Prompts(), ScriptedModel([]), digest, incident, "which hosts?")
    assert f"{prompt}\n" == (GOLDEN / "logs-answer.txt").read_text()
    prompt = explain_prompt(Prompts(), incident, "what broke first?")
    assert f"{prompt}\n" == (GOLDEN / "logs-explain.txt").read_text()


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        ("Disk sdb failed.", True),
        ('It says "I/O error, dev sdb".', True),
        ('It says "no such line".', False),
        ("See app.log:61.", True),
        ("See app.log:62.", False),
        ("It began at 10:00.", True),
        ("It began at 11:00.", False),
    ],
)
def test_only_what_stands_in_the_prompt_is_said(sentence: str, holds: bool) -> None:
    prompt = "10:00 app.log:61 db-1 kernel: I/O error, dev sdb"
    assert verified(sentence, prompt) == (sentence if holds else "")
