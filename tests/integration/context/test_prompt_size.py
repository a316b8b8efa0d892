"""System prompt and tool texts are short: every token costs a small machine 15 ms."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.context.prompts import Prompts
from localagent.tools.registry import standard_tools

LIMIT = 1200


@pytest.mark.real_model
def test_fixed_prompts_fit_the_budget(model_path: Path, capsys: pytest.CaptureFixture) -> None:
    from localagent.models.base import ModelInfo, Profile
    from localagent.models.llamacpp.backend import LlamaCpp

    prompts = Prompts()
    tools = "\n\n".join(prompts.text(f"tools/{name}") for name in (*standard_tools(), "done"))
    texts = {
        "react": prompts.render("react/system", tools=tools),
        "workflow": prompts.text("workflow/system"),
    }
    with LlamaCpp(model_path, ModelInfo("test", "llamacpp", "", Profile())) as model:
        counts = {planner: model.count(text) for planner, text in texts.items()}
    with capsys.disabled():
        print(f"\nsystem prompt and tools, in tokens: {counts}")
    assert max(counts.values()) <= LIMIT
