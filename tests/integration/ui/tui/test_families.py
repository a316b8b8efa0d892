"""One session in a real terminal, over models of several families with random weights."""

from __future__ import annotations

import time
from pathlib import Path

import families_chat
import pytest
from random_model import random_model
from tmux_terminal import PATIENCE, Tmux
from tui_screens import Open, events, outcomes

from localagent.core.events import ModelReplied, ModelRequested, ModelSwitched, TurnFinished
from localagent.models.catalog import manage

pytest.importorskip("localagent.models.llamacpp.worker.llama")

HEAD = (
    "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
)
TAIL = "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
TAGS = (
    "{% for c in m.tool_calls or [] %}<tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments | items %}<parameter={{ k }}>\n{{ v }}\n</parameter>\n"
    "{% endfor %}</function>\n</tool_call>{% endfor %}"
)
SWITCH = (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)
CHANNELS = (
    "{% for c in (m.tool_calls or [])[:1] %} to=functions.{{ c.function.name }}<|channel|>"
    "commentary json<|message|>{{ c.function.arguments | tojson }}<|call|>{% endfor %}"
)
GEMMA = (
    "{% for c in m.tool_calls or [] %}<|tool_call>call:{{ c.function.name }}"
    "{% raw %}{{% endraw %}{% for k, v in c.function.arguments | items %}"
    '{{ k }}:<|"|>{{ v }}<|"|>{% endfor %}}<tool_call|>{% endfor %}'
)
FAMILIES = {
    "llama": "",
    "qwen35": HEAD + TAGS + TAIL + SWITCH,
    "gpt-oss": HEAD + CHANNELS + TAIL + "{% endif %}",
    "gemma4": HEAD + GEMMA + TAIL + "{% endif %}",
    "granitehybrid": "",
}


@pytest.mark.timeout(300)
def test_think_planner_and_model_over_families(
    open_terminal: Open, home: Path, tmp_path: Path
) -> None:
    for name, template in FAMILIES.items():
        path = random_model(tmp_path, name, template=template, context_length=16384)
        form = manage.add(path, name).entry.template
        assert bool(form.call_form) is bool(template)
    terminal = open_terminal(width=100, height=50)
    terminal.start(program=families_chat.__file__)
    terminal.until("ask mode", gone="opening the session")
    turns = 0

    def ask(question: str) -> None:
        nonlocal turns
        terminal.send(question)
        turns += 1
        _finished(terminal, turns)

    ask("what does add do?")
    for name, template in FAMILIES.items():
        terminal.send(f"/model {name}")
        terminal.until(f"the model is {name} from now on")
        ask(f"is that so, {name}?")
        terminal.send("/planner react" if template else "/planner workflow")
        ask("and in the other way?")
        if template:
            terminal.send("/think 20")
            ask("why?")
            terminal.send("/think off")
    terminal.send("/model scripted")
    terminal.send("/planner react")
    terminal.send("what do you say?")
    terminal.until("reading")
    terminal.send("and make it short")
    _finished(terminal, turns + 1)
    switches = [event.model for event in events(ModelSwitched) if event.role == "main"]
    assert switches == [*FAMILIES, "scripted"]
    asked = events(ModelRequested)
    assert {request.model for request in asked} == {*FAMILIES, "scripted"}
    assert all(name in asked[-1].prompt for name in ("does add do", *FAMILIES))
    assert "The user says meanwhile:\nand make it short" in asked[-1].prompt
    assert any(reply.thought_tokens for reply in events(ModelReplied))
    assert set(outcomes()) <= {"answered", "limit"}
    terminal.keys("C-d")
    terminal.until("to resume")


def _finished(terminal: Tmux, turns: int) -> None:
    """Wait until so many turns are on record."""
    end = time.monotonic() + PATIENCE
    while len(events(TurnFinished)) < turns:
        assert time.monotonic() < end, terminal.screen()
        time.sleep(0.1)
