"""The use of the window: every token counts for one part, and all parts add up to the prompt."""

from __future__ import annotations

from pathlib import Path

from localagent.agent.planners.react import system_prompt, tools_text
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Exchange
from localagent.agent.window_usage import SAID, TEMPLATE, window_of
from localagent.core.messages import Message
from localagent.models.base import Infill, Request, Usage
from tests.doubles.scripted_turn import run_events, scripted_turn


def test_a_conversation_of_tool_calls(tmp_path: Path) -> None:
    services = scripted_turn(tmp_path, window=8000).services
    messages = (
        Message("system", system_prompt(services)),
        Message("user", "Fix calc.py"),
        Message("assistant", "```done\nfixed\n```"),
        Message("user", "The check fails."),
        Message("assistant", "I see."),
    )
    request = Request(messages, max_tokens=10)
    usage = Usage(prompt_tokens=1, completion_tokens=7)
    window = window_of(Exchange(request, services.model, usage), services)
    parts = dict(window.parts)
    assert set(parts) == {
        *("system prompt", "tools", SAID, "tool calls", "results", "replies", TEMPLATE)
    }
    assert parts["tools"] >= services.model.count(tools_text(services)) * 0.9
    assert window.prompt == len(services.model.tokenize(request).ends)
    assert (window.reply, window.window, window.last) == (7, 8000, True)
    assert window.left == 8000 - window.prompt - 7


def test_the_code_of_a_question(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    turn = scripted_turn(tmp_path, "What does add in calc.py do?", replies=["It subtracts."])
    run_events(Workflow().plan(turn))
    assert turn.ledger.exchange is not None
    parts = dict(window_of(turn.ledger.exchange, turn.services).parts)
    assert parts["code"] >= turn.services.model.count("def add(a, b):\n    return a - b\n")
    assert SAID in parts


def test_an_infill_is_code(tmp_path: Path) -> None:
    services = scripted_turn(tmp_path).services
    request = Request(Infill("def add(a, b):\n    return ", "\n"), max_tokens=10)
    window = window_of(Exchange(request, services.model), services)
    assert {kind for kind, _ in window.parts} == {"code", TEMPLATE}
    assert not window.last
