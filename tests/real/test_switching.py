"""A session that goes from a scripted model to a real one and back, and a real commit message."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.small_tasks import StagedChanges, write_message
from localagent.context.prompts import Prompts
from localagent.core.events import ModelReplied, ModelRequested, ModelSwitched, TurnFinished
from localagent.models.base import ModelInfo, Profile, Request
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel
from localagent.session.factory import open_session
from localagent.workspace.git.commit import StagedFile
from tests.doubles.opening import opening

pytestmark = [pytest.mark.real_model, pytest.mark.slow]
REACT = Profile(planner="react")
SCRIPTED = ModelInfo("scripted", "scripted", "", REACT)
REAL = ModelInfo("real", "llamacpp", "", REACT)


def test_there_and_back_across_backends(model_path: Path, workspace_dir: Path) -> None:
    scripted = ScriptedModel(
        ["```done\nadd subtracts\n```", "```done\nyes, a fault\n```"], SCRIPTED
    )
    real = LlamaCpp(model_path, REAL)
    catalogue = {
        "scripted": PinnedModel(SCRIPTED, 0, lambda: scripted),
        "real": PinnedModel(REAL, model_path.stat().st_size, lambda: real),
    }
    router = Router(catalogue, "scripted")
    # The reply is cut short: what counts is what the model was shown.
    given = opening(workspace_dir, max_tokens=30)
    with open_session(*given, router) as session:
        list(session.run("What does add do?"))
        session.switch("real")
        events = list(session.run("Is that a fault?"))
        assert isinstance(events[0], ModelSwitched)
        replied = [e for e in events if isinstance(e, ModelReplied)]
        (asked,) = [e for e in events if isinstance(e, ModelRequested)]
        assert "add subtracts" in asked.prompt
        assert isinstance(events[-1], TurnFinished)
        assert events[-1].outcome in ("answered", "limit")
        text = real.tokenize(Request(session.conversation)).text
        assert "<|im_start|>user\nWhat does add do?<|im_end|>" in text
        assert "<|im_start|>assistant\n```done\nadd subtracts\n```<|im_end|>" in text
        assert replied[0].prompt_tokens > real.count(asked.prompt) * 0.9
        session.switch("scripted")
        list(session.run("Really?"))
        assert replied[0].text in scripted.prompts[1]
        assert scripted.prompts[1].startswith(scripted.prompts[0])


def test_a_commit_message(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diff = "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b"
    with LlamaCpp(model_path, REAL) as model:
        files = [StagedFile("calc.py", "M", "", 1, 1)]
        changes = StagedChanges(files, lambda _: diff, lambda _: [])
        written = write_message(model, Prompts(), changes, 120, lambda _: None)
    with capsys.disabled():
        print(f"\n{written.text}")
    assert written.by_model
    assert "add" in written.text.lower()
