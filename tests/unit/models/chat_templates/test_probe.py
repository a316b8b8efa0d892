"""What a template can do is found out by rendering small differences."""

from __future__ import annotations

import pytest

from localagent.models.chat_templates.form import TemplateForm
from localagent.models.chat_templates.jinja import CHATML, TemplateFailed
from localagent.models.chat_templates.probe import probe

LOOP = "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
PROMPT = "{% if add_generation_prompt %}[assistant]{% endif %}"
REFUSE_NEIGHBORS = (
    "{% for m in messages %}{% if not loop.first and m.role == loop.previtem.role %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)
REFUSE_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
)
SYSTEM_LAST = (
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}"
    "{% if loop.last %}{{ system }}{% endif %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}"
)
OPEN_THOUGHT = "{% if add_generation_prompt %}[assistant]<think>\n{% endif %}"
SWITCH = (
    "{% if add_generation_prompt %}[assistant]"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)
THOUGHTS = (
    "{% for m in messages %}[{{ m.role }}]{% if m.reasoning_content %}"
    "<reason>{{ m.reasoning_content }}</reason>{% endif %}{{ m.content }}[end]{% endfor %}"
)
CHANNEL = (
    "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %}<final>{% endif %}"
    "{{ m.content }}[end]{% endfor %}" + PROMPT
)


def test_a_plain_template_needs_nothing() -> None:
    assert probe(CHATML) == probe("") == TemplateForm()


def test_neighbors_are_merged_only_where_a_template_refuses_them() -> None:
    assert not probe(LOOP + PROMPT).alternates
    assert probe(REFUSE_NEIGHBORS + LOOP + PROMPT).alternates


@pytest.mark.parametrize("source", [REFUSE_SYSTEM + LOOP + PROMPT, SYSTEM_LAST + PROMPT])
def test_a_system_message_that_would_not_stay_goes_to_the_first_user(source: str) -> None:
    form = probe(source)
    assert (form.system, form.append_only) == ("user", True)


def test_the_variables_of_thinking_are_those_that_change_the_prompt() -> None:
    form = probe(LOOP + SWITCH)
    assert (form.on, form.off) == ({"enable_thinking": True}, {"enable_thinking": False})
    assert (form.thought_start, form.thought_end) == ("<think>", "</think>")
    assert form.unthinking == ""
    assert probe(LOOP + PROMPT).off == {}


def test_an_open_thought_without_a_variable_is_closed_by_the_prompt() -> None:
    assert probe(LOOP + OPEN_THOUGHT).unthinking == "\n</think>\n\n"


def test_the_markers_of_thoughts_are_those_around_a_given_thought() -> None:
    form = probe(THOUGHTS + PROMPT)
    assert (form.thought_start, form.thought_end) == ("<reason>", "</reason>")


def test_a_prompt_without_a_thought_begins_the_reply_as_earlier_ones() -> None:
    assert probe(CHANNEL).unthinking == "<final>"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (LOOP + SWITCH, "the prompt of a reply has a text that is left out later"),
        (
            "{{ messages | length }}" + LOOP + PROMPT,
            "later messages change the text of earlier ones",
        ),
        (
            "{% for m in messages %}[{{ m.role }}]{% if m.role == 'assistant' %} {% endif %}"
            "{{ m.content }}[end]{% endfor %}" + PROMPT,
            "replies are changed",
        ),
    ],
)
def test_a_template_that_is_not_append_only_says_why(source: str, reason: str) -> None:
    form = probe(source)
    assert (form.append_only, form.difference) == (False, reason)


def test_the_date_stands_still() -> None:
    source = "{{ strftime_now('%Y-%m-%d') }}" + LOOP + PROMPT
    assert probe(source, "2026-05-04") == TemplateForm(date="2026-05-04")


@pytest.mark.parametrize("source", ["{{ messages[0].content }}", "{% for %}", "{{ 1 // 0 }}"])
def test_a_template_that_renders_no_conversation_is_an_error(source: str) -> None:
    with pytest.raises(TemplateFailed):
        probe(source)


TOOLS = "{% for t in tools or [] %}({{ t.function.description }}){% endfor %}"
CALLS = {
    "json": (
        '<tool_call>\n{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}\n'
        "</tool_call>"
    ),
    "named-json": "[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments | tojson }}",
    "tags": (
        "<tool_call>\n<function={{ f.name }}>\n{% for k, v in f.arguments | items %}"
        "<parameter={{ k }}>\n{{ v }}\n</parameter>\n{% endfor %}</function>\n</tool_call>"
    ),
    "python": (
        "<|tool_call_start|>[{{ f.name }}({% for k, v in f.arguments | items %}"
        "{{ k }}={{ v | tojson }}{% endfor %})]<|tool_call_end|>"
    ),
    "gemma": (
        "<|tool_call>call:{{ f.name }}{% raw %}{{% endraw %}{% for k, v in f.arguments | items %}"
        '{{ k }}:<|"|>{{ v }}<|"|>{% endfor %}}<tool_call|>'
    ),
}


def with_calls(call: str) -> str:
    return (
        TOOLS + "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
        "{% for c in m.tool_calls or [] %}{% set f = c.function %}" + call + "{% endfor %}[end]"
        "{% endfor %}" + PROMPT
    )


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("json", "<tool_call>", "</tool_call>"),
        ("named-json", "[TOOL_CALLS]", ""),
        ("tags", "<tool_call>", "</tool_call>"),
        ("python", "<|tool_call_start|>", "<|tool_call_end|>"),
        ("gemma", "<|tool_call>", "<tool_call|>"),
    ],
)
def test_the_form_of_calls_is_read_off_a_call(name: str, start: str, end: str) -> None:
    form = probe(with_calls(CALLS[name]))
    assert (form.call_form, form.call_start, form.call_end) == (name, start, end)
    assert (form.several_calls, form.results) == (True, "tool")


def test_the_channels_of_harmony_are_known_by_their_recipient() -> None:
    call = (
        " to=functions.{{ f.name }}<|channel|>commentary json<|message|>{{ f.arguments | tojson }}"
    )
    form = probe(
        with_calls(call + "<|call|>").replace("m.tool_calls or []", "(m.tool_calls or [])[:1]")
    )
    assert (form.call_form, form.call_start, form.several_calls) == (
        "harmony",
        "to=functions.",
        False,
    )


def test_a_template_may_take_calls_as_they_were_written() -> None:
    form = probe(TOOLS + LOOP + PROMPT)
    assert (form.call_form, form.call_sample, form.results) == ("content", "", "tool")


def test_a_template_without_tools_has_no_calls() -> None:
    assert probe(with_calls(CALLS["json"]).removeprefix(TOOLS)).call_form == ""


def test_a_template_may_fill_lists_of_its_own() -> None:
    """Kimi K2 notes the ids of calls in a list."""
    fills = "{% set ids = [] %}{% set _ = ids.append('7') %}{% set id = ids.pop(0) %}"
    assert probe(with_calls(fills + "<call:{{ id }}>" + CALLS["json"])).call_form == "json"


def test_a_template_may_write_the_rest_of_a_loop_as_json() -> None:
    """The template of llama.cpp for DeepSeek R1 writes the functions of the tools."""
    source = "{{ (tools or []) | map(attribute='function') | tojson }}"
    assert probe(with_calls(CALLS["json"]).replace(TOOLS, source)).call_form == "json"


def test_a_template_may_know_the_tools_as_functions() -> None:
    source = with_calls(CALLS["json"]).replace(TOOLS, "{{ '' + functions }}")
    assert probe(source).call_form == "json"


def test_a_template_may_write_its_calls_in_ascii() -> None:
    call = CALLS["json"].replace("tojson", "tojson(ensure_ascii=True)")
    assert probe(with_calls(call)).call_form == "json"


def test_arguments_may_have_to_be_a_text() -> None:
    text = "[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments + '' }}"
    assert probe(with_calls(text)).call_form == "named-json"
