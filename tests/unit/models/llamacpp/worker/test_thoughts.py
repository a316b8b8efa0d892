"""Thoughts in the worker: apart from the reply, bounded, and read only once."""

from __future__ import annotations

from itertools import pairwise

import pytest
import toy_llm as toy
from hypothesis import given
from hypothesis import strategies as st
from toy_runs import Run, request

from localagent.core.messages import Message
from localagent.models.base import Request, Thought
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.thoughts import ThoughtReader, closing

LOOP = "{% for m in messages %}[{{ m.role }}]{{ m.content.split('</think>')[-1] }}[end]{% endfor %}"
OPEN = LOOP + (
    "{% if add_generation_prompt %}[assistant]{% if enable_thinking is defined and not "
    "enable_thinking %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}{% endif %}"
)
PLAIN = LOOP + "{% if add_generation_prompt %}[assistant]{% endif %}"
THINK = TemplateForm(thought_start="<think>", thought_end="</think>")
HARMONY = TemplateForm(
    thought_start="<|channel|>analysis<|message|>",
    thought_end="<|end|>",
    unthinking="<|channel|>final<|message|>",
)
HI = [("user", "Hi")]


def thought_of(run: Run) -> str:
    return "".join(r.chunk.thought for r in run.sent if isinstance(r.chunk, Thought))


def run_on(model: toy.ToyLlm, **values: object) -> Run:
    return Run(Generator(model), request(HI, **values))


def test_a_thought_is_no_part_of_the_reply() -> None:
    run = run_on(toy.ToyLlm(b"hm\n</think>hello", template=OPEN), think=50)
    assert (thought_of(run), run.text) == ("hm\n</think>\n\n", "hello")
    assert run.reason == "stop"
    assert run.end.thought_tokens == len("hm\n</think>\n\n")


def test_the_prompt_opens_a_thought_that_the_template_leaves_to_the_model() -> None:
    model = toy.ToyLlm(b"hm</think>hello", template=PLAIN)
    run = run_on(model, think=50)
    assert (thought_of(run), run.text) == ("<think>hm</think>\n\n", "hello")
    assert bytes(model.kv).startswith(b"[user]Hi[end][assistant]<think>hm</think>")


def test_a_thought_that_takes_too_long_is_closed() -> None:
    model = toy.ToyLlm(b"so ", endless=True, template=OPEN)
    run = run_on(model, think=6, max_tokens=4)
    assert (thought_of(run), run.text) == ("so so \n</think>\n\n", "so s")
    assert run.reason == "length"


def test_a_reply_that_would_end_inside_of_the_thought_begins_after_it() -> None:
    run = run_on(toy.ToyLlm(b"hm", template=OPEN), think=50)
    assert thought_of(run) == "hm\n</think>\n\n"
    assert run.reason == "stop"


def test_grammar_and_stop_texts_wait_for_the_reply() -> None:
    model = toy.ToyLlm(b"a;b</think>c;d", template=OPEN)
    run = run_on(model, think=50, stop=(";",), grammar="root ::= any")
    assert (thought_of(run), run.text) == ("a;b</think>\n\n", "c")
    assert model.samplers[0].bound
    endless = toy.ToyLlm(b"so ", endless=True, template=OPEN, window=60)
    run_on(endless, think=50, grammar="root ::= any")
    assert not endless.samplers[0].bound


def test_a_model_without_thoughts_just_replies() -> None:
    run = run_on(toy.ToyLlm(b"hello"), think=50)
    assert (thought_of(run), run.text) == ("", "hello")


def test_the_next_turn_reads_only_what_is_new() -> None:
    model = toy.ToyLlm(b"hm\n</think>hello", template=OPEN)
    generator = Generator(model)
    first = Run(generator, request(HI, think=50))
    messages = [
        Message("user", "Hi"),
        Message("assistant", first.text, thought=thought_of(first)),
        Message("user", "And?"),
    ]
    again = Request(messages, max_tokens=100, think=50)
    second = Run(generator, protocol.Generate(id=2, requests=(again,)))
    assert second.end.reused_tokens == first.end.prompt_tokens + first.end.completion_tokens


@given(st.lists(st.integers(0, 60), max_size=6))
@pytest.mark.parametrize(
    ("form", "text", "thought", "reply"),
    [
        (THINK, "hm\n</think>\n\nhello </think>", "hm\n</think>\n\n", "hello </think>"),
        (THINK, "no end", "no end", ""),
        (
            HARMONY,
            "hm<|end|><|start|>assistant<|channel|>final<|message|>hello",
            "hm<|end|><|start|>assistant<|channel|>final<|message|>",
            "hello",
        ),
        (
            HARMONY,
            "a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>c",
            "a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>"
            "<|start|>assistant<|channel|>final<|message|>",
            "c",
        ),
    ],
)
def test_a_thought_ends_at_the_same_place_however_it_comes(
    form: TemplateForm, text: str, thought: str, reply: str, cuts: list[int]
) -> None:
    reader = ThoughtReader(form)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [reader.split(text[a:b]) for a, b in pairwise(places)]
    assert "".join(part[0] for part in parts) == thought
    assert "".join(part[1] for part in parts) == reply
    assert reader.length == len(thought)


def test_the_closing_text_is_that_of_the_family() -> None:
    assert closing(THINK) == "\n</think>\n\n"
    assert closing(HARMONY) == "<|end|><|start|>assistant<|channel|>final<|message|>"
