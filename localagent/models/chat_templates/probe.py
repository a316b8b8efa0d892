"""Finds out what a chat template can do, by rendering conversations with small differences.

The texts of these conversations are names that no template contains. So the place of a name in the
rendered text, and the text around it, show what the template does. The parser of llama.cpp finds
the forms of tool calls in the same way (docs/autoparser.md there).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from localagent.core.messages import THOUGHT_MARKERS, Message
from localagent.models.chat_templates.form import DATE, TemplateForm, Variable
from localagent.models.chat_templates.jinja import JinjaTemplate, TemplateFailed
from localagent.models.chat_templates.probe_calls import (
    MARKER,
    TOOLS,
    common_start,
    tool_calls,
    with_calls,
)
from localagent.models.chat_templates.render import PromptRenderer

_TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}

# Variables that makers use to turn thinking on and off, with both values; None is no value.
_SWITCHES: Mapping[str, tuple[Variable, Variable]] = {
    "enable_thinking": (True, False),
    "thinking": (True, False),
    "reasoning": (True, False),
    "thinking_budget": (None, 0),
    "thinking_mode": ("thinking", "chat"),
}
_CONVERSATION = (
    Message("system", "Qsystem"),
    Message("user", "Qtask"),
    Message("assistant", "Qcall"),
    Message("user", "Qresult"),
    Message("assistant", "Qsecondcall"),
    Message("user", "Qsecondresult"),
    Message("user", "Qsteering"),
    Message("assistant", "Qanswer"),
    Message("user", "Qquestion"),
    Message("assistant", "Qthirdcall"),
    Message("user", "Qthirdresult"),
    Message("assistant", "Qsecondanswer"),
    Message("user", "Qresumed"),
)


_NATIVE = (
    *_CONVERSATION[:2],
    Message("assistant", "Qcall", calls=("qone",)),
    Message("tool", "Qresult"),
    Message("user", "Qsteering"),
    Message("assistant", "Qsecondcall", calls=("qone",)),
    Message("tool", "Qsecondresult"),
    Message("assistant", "Qanswer"),
    Message("user", "Qquestion"),
)


def probe(source: str, date: str = DATE) -> TemplateForm:
    """The form of a template. Raises TemplateFailed if it cannot render a conversation at all."""
    template = JinjaTemplate(source, _TOKENS, date)
    form = _layout(template, TemplateForm(date=date))
    form = _thinking(template, source, form)
    form = _layout(template, form)
    native = with_calls(template, form)
    return native if _renders_calls(template, native) else form


def _renders_calls(template: JinjaTemplate, form: TemplateForm) -> bool:
    """Whether a whole conversation with native calls can be rendered."""
    renderer = PromptRenderer(template, form)
    try:
        text = renderer.render(_NATIVE, tools=TOOLS)
    except TemplateFailed:
        return False
    return all(m.content in text for m in _NATIVE if m.role == "tool" or not m.calls)


def _layout(template: JinjaTemplate, form: TemplateForm) -> TemplateForm:
    """The form with the arrangement of messages that the template keeps, at best append-only."""
    complete: TemplateForm | None = None
    error = TemplateFailed("the model's chat template leaves out messages")
    for layout in _layouts(form):
        try:
            difference = _difference(template, layout)
        except TemplateFailed as failure:
            error = failure
            continue
        if not difference:
            return layout
        complete = complete or replace(layout, append_only=False, difference=difference)
    if complete is None:
        raise error
    return complete


def _layouts(form: TemplateForm) -> Iterator[TemplateForm]:
    plain = replace(form, append_only=True, difference="")
    yield replace(plain, system="system", alternates=False)
    yield replace(plain, system="system", alternates=True)
    yield replace(plain, system="user", alternates=False)
    yield replace(plain, system="user", alternates=True)


def _difference(template: JinjaTemplate, form: TemplateForm) -> str:
    """What the template renders in another way later, or "". Raises TemplateFailed."""
    renderer, before, difference = PromptRenderer(template, form), "", ""
    places = [n for n, message in enumerate(_CONVERSATION) if message.role == "assistant"]
    for place in (*places, len(_CONVERSATION)):
        messages = _CONVERSATION[:place]
        text = renderer.render(messages)
        _check_complete(text, messages)
        if before and not difference and not text.startswith(before):
            difference = _kind(renderer, text, before, messages)
        before = text + (_CONVERSATION[place].content if place < len(_CONVERSATION) else "")
    return difference


def _check_complete(text: str, messages: Sequence[Message]) -> None:
    """Raise TemplateFailed unless `text` has all messages once, in their order."""
    end = 0
    for message in messages:
        place = text.find(message.content, end)
        if place < 0 or text.count(message.content) != 1:
            raise TemplateFailed("the model's chat template leaves out or moves a message")
        end = place


def _kind(renderer: PromptRenderer, text: str, before: str, messages: Sequence[Message]) -> str:
    """The kind of difference between `text` and the text `before`, which should begin it."""
    last = max(n for n, message in enumerate(messages) if message.role == "assistant")
    same = len(common_start(text, before))
    if same < len(renderer.render(messages[:last], last=False)):
        return "later messages change the text of earlier ones"
    if same < len(before) - len(messages[last].content):
        return "the prompt of a reply has a text that is left out later"
    return "replies are changed"


def _thinking(template: JinjaTemplate, source: str, form: TemplateForm) -> TemplateForm:
    """The form with its thoughts: variables, markers, and the end of a prompt without a thought."""
    user = _CONVERSATION[1:2] if form.system == "user" else _CONVERSATION[:2]
    switches = dict(_switches(template, user))
    form = replace(
        form,
        on={name: on for name, (on, _) in switches.items() if on is not None},
        off={name: off for name, (_, off) in switches.items()},
    )
    prompt = PromptRenderer(template, form).render(user, think=True)
    start, end = _thought_markers(template, form, user, prompt) or _known_markers(prompt, source)
    form = replace(form, thought_start=start, thought_end=end)
    return replace(form, unthinking=_unthinking(template, form, user))


def _switches(
    template: JinjaTemplate, messages: Sequence[Message]
) -> Iterator[tuple[str, tuple[Variable, Variable]]]:
    """The variables that change the text."""
    for name, values in _SWITCHES.items():
        texts = {
            PromptRenderer(template, TemplateForm(), {} if value is None else {name: value}).render(
                messages
            )
            for value in values
        }
        if len(texts) > 1:
            yield name, values


def _thought_markers(
    template: JinjaTemplate, form: TemplateForm, messages: Sequence[Message], prompt: str
) -> tuple[str, str] | None:
    """The markers around a thought that comes with a message; None if the template takes none."""
    for message in _thoughtful():
        values: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in messages]
        values.append(message)
        if "tool_calls" in message:
            values.append({"role": "tool", "content": "Qresult", "name": "read"})
        try:
            text = template.render(values, form.on, last=False)
        except TemplateFailed:
            continue
        before, found, after = text.partition("Qthought")
        after = after.lstrip()
        if not found or not (end := re.match(MARKER, after)):
            continue
        start = before[len(common_start(before, prompt)) :].strip()
        if not re.match(MARKER, start):  # the prompt has opened the thought already
            start = (re.findall(rf"{MARKER}\w*\s*$", before) or [""])[0].strip()
        return start, end.group()
    return None


def _thoughtful() -> Iterator[dict[str, Any]]:
    """Replies with a thought, in the ways that templates know."""
    calls = tool_calls(["read"], 0, {"path": "Qpath"})
    for key in ("reasoning_content", "thinking", "reasoning"):
        yield {"role": "assistant", "content": "Qanswer", key: "Qthought"}
        yield {"role": "assistant", "content": "", key: "Qthought", "tool_calls": calls}


def _known_markers(prompt: str, source: str) -> tuple[str, str]:
    """The markers that the prompt ends with, or that the template's source has; or ("", "")."""
    for start, end in THOUGHT_MARKERS:
        if prompt.rstrip().endswith(start) or end in source:
            return start, end
    return "", ""


def _unthinking(template: JinjaTemplate, form: TemplateForm, messages: Sequence[Message]) -> str:
    """The text to add to the prompt of a reply without a thought.

    Earlier replies show how the template begins one: gpt-oss names the channel, others close an
    empty thought.
    """
    renderer = PromptRenderer(template, form)
    prompt = renderer.render(messages)
    reply = renderer.render([*messages, Message("assistant", "Qanswer")], last=False)
    before = reply.partition("Qanswer")[0]
    more = before[len(prompt) :] if before.startswith(prompt) else ""
    if more.strip():
        return more
    is_open = form.thinks and prompt.rstrip().endswith(form.thought_start)
    return f"\n{form.thought_end}\n\n" if is_open else ""
