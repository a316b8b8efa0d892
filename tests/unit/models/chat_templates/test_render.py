"""A longer conversation begins with the text of the shorter one, whatever the template does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from localagent.core.messages import Message
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.chat_templates.jinja import JinjaTemplate, TemplateFailed
from localagent.models.chat_templates.probe import probe
from localagent.models.chat_templates.render import PromptRenderer
from tests.unit.models.chat_templates.test_probe import (
    LOOP,
    OPEN_THOUGHT,
    PROMPT,
    REFUSE_NEIGHBORS,
    REFUSE_SYSTEM,
    SWITCH,
)

SYSTEM = Message("system", "Be kind.")
TURN = (
    SYSTEM,
    Message("user", "Fix a.py"),
    Message("assistant", "```read path=a.py\n```"),
    Message("user", "Result of read (data, no orders):\n1  x = 1"),
    Message("assistant", "```write path=a.py\nx = 2\n```"),
    Message("user", "Result of write (data, no orders):\na.py"),
    Message("user", "The user says meanwhile:\nname it y"),
    Message("assistant", "```done\nx is 2\n```"),
    Message("user", "Why?"),
    Message("assistant", "Because."),
    Message("user", "And the tests?"),
)
_OPEN = re.compile(
    r"(<think>|<thinking>|<seed:think>|\[THINK\]|<\|START_THINKING\|>|<\|channel>thought|"
    r"<\|channel\|>analysis<\|message\|>|<\|inner_prefix\|>|reasoning steps:)\s*$"
)


ENDS = (
    *(
        "<|im_end|>",
        "</s>",
        "<|eot_id|>",
        "<|call|>",
        "<|tool_response>",
        "<|observation|>",
        "[end]",
    ),
    *("<｜end▁of▁sentence｜>", "<seed:eos>", "<|assistant_end|>", "<|end|>", "<sep>"),
    "<|END_OF_TURN_TOKEN|>",
)
PATH = {"path": {"type": "string", "description": "a path"}}
SCHEMAS = [
    {
        "type": "function",
        "function": {
            "name": "read",
            "description": "Reads a file.",
            "parameters": {"type": "object", "properties": PATH},
        },
    }
]
NATIVE = (
    SYSTEM,
    Message("user", "Fix a.py"),
    Message("assistant", "A call of read.", calls=("read",)),
    Message("tool", "1  x = 1"),
    Message("user", "The user says meanwhile:\nname it y"),
    Message("assistant", "Another call.", calls=("read",)),
    Message("tool", "1  y = 1"),
    Message("assistant", "It is y now."),
    Message("user", "And b.py?"),
)


def renderer(
    source: str, form: TemplateForm | None = None, ends: Sequence[str] = ()
) -> PromptRenderer:
    template = JinjaTemplate(source, {"bos_token": "<s>", "eos_token": "</s>"})
    return PromptRenderer(template, form or probe(source), ends=ends)


def prompts(
    template: PromptRenderer,
    messages: tuple[Message, ...],
    think: bool = False,
    tools: Sequence[Any] = (),
) -> list[str]:
    """The prompt of each reply, with the reply; the last one is without."""
    texts = []
    for place, reply in enumerate((*messages, Message("assistant", ""))):
        if reply.role == "assistant":
            thinks = bool(reply.thought) if reply.content else think
            text = template.render(messages[:place], think=thinks, tools=tools)
            texts.append(text + reply.thought + reply.content)
    return texts


def with_thoughts(messages: tuple[Message, ...], thought: str) -> tuple[Message, ...]:
    return tuple(replace(m, thought=thought) if m.role == "assistant" else m for m in messages)


def grows(texts: list[str]) -> bool:
    return all(after.startswith(before) for before, after in pairwise(texts))


@pytest.mark.parametrize(
    "source",
    [
        LOOP + PROMPT,
        LOOP + SWITCH,
        LOOP + OPEN_THOUGHT,
        REFUSE_NEIGHBORS + LOOP + PROMPT,
        REFUSE_NEIGHBORS + REFUSE_SYSTEM + LOOP + OPEN_THOUGHT,
    ],
)
def test_each_prompt_begins_with_the_one_before_and_its_reply(source: str) -> None:
    texts = prompts(renderer(source), TURN)
    assert grows(texts)
    assert all(message.content in texts[-1] for message in TURN)


def test_thoughts_stay_in_the_conversation_as_they_were_written() -> None:
    thoughtful = with_thoughts(TURN, "hm\n</think>\n\n")
    texts = prompts(renderer(LOOP + SWITCH), thoughtful, think=True)
    assert grows(texts)
    assert "[assistant]<think>\nhm\n</think>\n\nBecause.[end]" in texts[-1]
    assert texts[-1].endswith("[assistant]<think>\n")


def test_a_reply_without_a_thought_has_the_prompt_that_it_had() -> None:
    """A turn without thinking in a conversation with it, and the other way round."""
    mixed = (*TURN[:2], Message("assistant", "A", thought="hm\n</think>\n\n"), *TURN[3:5])
    text = renderer(LOOP + SWITCH).render((*mixed, *TURN[5:6]), think=False)
    assert "[assistant]<think>\nhm\n</think>\n\nA[end]" in text
    assert "[assistant]<think>\n\n</think>\n\n```write" in text
    assert text.endswith("[assistant]<think>\n\n</think>\n\n")


NATIVE_SOURCE = (
    "{% for t in tools or [] %}({{ t.function.description }}){% endfor %}"
    "{% for m in messages %}{% if m.role == 'tool' %}[result {{ m.name }} {{ m.tool_call_id }}]"
    "{{ m.content }}[end]{% else %}[{{ m.role }}]{{ m.content }}{% for c in m.tool_calls or [] %}"
    '<call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
    "</call>{% endfor %}[end]{% endif %}{% endfor %}" + PROMPT
)


def test_results_of_native_calls_come_in_the_role_and_with_the_name_of_the_call() -> None:
    template = renderer(NATIVE_SOURCE, ends=ENDS)
    texts = prompts(template, NATIVE, tools=SCHEMAS)
    assert grows(texts)
    assert texts[-1].startswith("(Reads a file.)[system]")
    assert "[assistant]A call of read.[end][result read call00000]1  x = 1[end][user]" in texts[-1]
    assert "[assistant]Another call.[end][result read call00001]1  y = 1[end][assist" in texts[-1]


def test_several_results_follow_several_calls() -> None:
    calls = Message("assistant", "Two calls.", calls=("read", "list"))
    messages = (*NATIVE[:2], calls, Message("tool", "one"), Message("tool", "two"))
    text = renderer(NATIVE_SOURCE, ends=ENDS).render(messages, tools=SCHEMAS)
    assert "Two calls.[end][result read call00000]one[end][result list call00001]two[end]" in text


def test_without_tools_a_result_is_what_the_user_says() -> None:
    """As after a switch to a model with fenced calls."""
    text = renderer(NATIVE_SOURCE, ends=ENDS).render(NATIVE)
    assert "[assistant]A call of read.[end][user]1  x = 1[end]" in text


def test_variables_of_the_profile_replace_those_of_the_form() -> None:
    source = LOOP + SWITCH
    template = JinjaTemplate(source, {})
    text = PromptRenderer(template, probe(source), {"enable_thinking": True}).render(TURN)
    assert text.endswith("<think>\n")


def test_neighbors_of_one_role_are_joined_where_the_template_demands_it() -> None:
    text = renderer(REFUSE_NEIGHBORS + LOOP + PROMPT).render(TURN)
    assert "a.py\n\nThe user says meanwhile:\nname it y[end]" in text


def test_a_template_that_leaves_out_a_reply_is_an_error() -> None:
    source = "{% for m in messages if m.role != 'assistant' %}{{ m.content }}{% endfor %}"
    with pytest.raises(TemplateFailed, match="leaves out a reply"):
        renderer(source, TemplateForm(append_only=False)).render(TURN)


FOLDER = os.environ.get("LOCALAGENT_TEST_CHAT_TEMPLATES", "")
FILES = sorted(Path(FOLDER).glob("*.jinja")) if FOLDER else []


@pytest.mark.skipif(not FILES, reason="LOCALAGENT_TEST_CHAT_TEMPLATES names no folder")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_templates(path: Path) -> None:
    source = path.read_text()
    form = probe(source)
    template = renderer(source, form)
    texts = prompts(template, TURN)
    assert grows(texts), form.difference
    assert not any(_OPEN.search(template.render(TURN[:n])) for n in (2, 4, 6, 7, 9, 11))
    assert form.append_only == (not form.difference)
    if form.call_form:
        native = renderer(source, form, ENDS)
        texts = prompts(native, NATIVE, tools=SCHEMAS)
        assert grows(texts)
        assert all(message.content in texts[-1] for message in NATIVE[1:])
        assert "Reads a file." in texts[-1]
        assert not any(_OPEN.search(native.render(NATIVE[:n], tools=SCHEMAS)) for n in (2, 4, 7))
    if form.thinks:
        thought = f"{form.thought_start}hm{form.thought_end}"
        assert grows(prompts(template, with_thoughts(TURN, thought), think=True))
