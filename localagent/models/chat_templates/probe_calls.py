"""Finds out how a chat template writes tools, calls and results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from localagent.models.chat_templates.form import CallForm, TemplateForm
from localagent.models.chat_templates.jinja import JinjaTemplate, TemplateFailed

MARKER = r"(?:<[^<>\s]+>|\[/?[A-Z_]+\])"
"""A marker of a template: a tag, a control token, or a word of capitals in brackets."""

_TASK = {"role": "user", "content": "Qtask"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Qdescription",
            "parameters": {
                "type": "object",
                "properties": {"qkey": {"type": "string", "description": "Qtext"}},
                "required": ["qkey"],
            },
        },
    }
    for name in ("qone", "qtwo")
]


def with_calls(template: JinjaTemplate, form: TemplateForm) -> TemplateForm:
    """The form with its tool calls; the same form if the template has no place for tools."""
    answer = {"role": "assistant", "content": "Qanswer"}
    try:
        plain = _render(template, form, [_TASK, answer])
        one = _render(template, form, [_TASK, _calling("qone")])
    except TemplateFailed:
        return form
    lead, called, rest = _parts(one, plain)
    if "Qdescription" not in one:
        return form
    if not called:
        return replace(form, call_form="content", results="tool")
    middle, _, tail = rest.partition("qvalue")
    several, next_tail = _several(template, form)
    if several:
        tail = common_start(tail, next_tail)
    else:
        tail = tail.removesuffix(plain.rpartition("Qanswer")[2])
    end = re.findall(MARKER, tail)
    return replace(
        form,
        call_form=_call_form(lead, middle),
        call_start=_start(lead, form),
        call_end=end[-1] if end else "",
        call_sample=f"{lead}{called}{middle}qvalue{tail}",
        several_calls=several,
        results=_results(template, form),
    )


def _render(template: JinjaTemplate, form: TemplateForm, messages: Sequence[dict[str, Any]]) -> str:
    return template.render(messages, {**form.off, "tools": TOOLS}, last=False)


def tool_calls(names: Sequence[str], first: int, arguments: dict[str, str]) -> list[dict[str, Any]]:
    """Calls as templates take them, numbered from `first`."""
    return [
        {
            "id": f"call{first + number:05}",  # Mistral's templates want nine characters
            "type": "function",
            "function": {"name": name, "arguments": dict(arguments)},
        }
        for number, name in enumerate(names)
    ]


def _calling(*names: str) -> dict[str, Any]:
    calls = tool_calls(names, 0, {"qkey": "qvalue"})
    return {"role": "assistant", "content": "", "tool_calls": calls}


def _parts(one: str, plain: str) -> tuple[str, str, str]:
    """The text before the name of a call, the name, and the text after it.

    `plain` is the text with an answer in place of the call; what both share comes before a call.
    """
    last = one.rfind("qvalue")
    place = one.rfind("qone", 0, last) if last >= 0 else -1
    if place < 0:
        return "", "", ""
    shared = len(common_start(one[:place], plain))
    inside = [m for m in re.finditer(MARKER, one) if m.start() < shared < m.end()]
    shared = inside[0].start() if inside else shared
    return one[shared:place], "qone", one[place + len("qone") :]


def _several(template: JinjaTemplate, form: TemplateForm) -> tuple[bool, str]:
    """Whether a reply can have two calls; if so, the text after the first one's argument."""
    try:
        two = _render(template, form, [_TASK, _calling("qone", "qtwo")])
    except TemplateFailed:
        return False, ""
    tail = two[two.rfind("qone") :].partition("qvalue")[2]
    return "qvalue" in tail and "qtwo" in tail, tail


def _call_form(lead: str, middle: str) -> CallForm:
    """The form of a call, by the text before its name, and between name and argument."""
    if "to=functions." in lead:
        return "harmony"
    if lead.endswith("call:") and middle.startswith("{qkey:"):
        return "gemma"
    if re.search(r'"\w+"\s*:\s*"$', lead):
        return "json"
    if middle.startswith("("):
        return "python"
    return "named-json" if middle.endswith('"') else "tags"


def _start(lead: str, form: TemplateForm) -> str:
    """The text that begins a call and nothing else."""
    for mark in re.finditer(MARKER, lead):
        if mark.group() not in (form.thought_start, form.thought_end):
            return mark.group()
    return lead.strip()


def _results(template: JinjaTemplate, form: TemplateForm) -> Literal["user", "tool"]:
    """The role that keeps a result: "tool" if the template has a place for it."""
    result = {"role": "tool", "content": "Qresult", "name": "qone", "tool_call_id": "call00000"}
    try:
        text = _render(template, form, [_TASK, _calling("qone"), result])
    except TemplateFailed:
        return "user"
    return "tool" if "Qresult" in text else "user"


def common_start(one: str, other: str) -> str:
    """The text with which both texts begin."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return one[:place]
    return min(one, other, key=len)
