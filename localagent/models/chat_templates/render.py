"""Renders a conversation with a chat template, so that a longer one begins with the shorter one.

Most templates render an earlier part of the conversation always in the same way. Where one does not
(`TemplateForm.append_only`), or where replies hold thoughts, the text is put together from the
prompts of all replies: each begins where the reply before it ended. So the model finds what it has
read and written before, and reads only what is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from localagent.core.messages import Message
from localagent.models.chat_templates.form import TemplateForm, Variable
from localagent.models.chat_templates.jinja import JinjaTemplate, TemplateFailed
from localagent.models.chat_templates.probe_calls import tool_calls

Values = list[dict[str, Any]]
"""Messages as templates take them."""

_NAME = "\ufdd4{}\ufdd5"  # stands for a reply, to find the template's text around it


class PromptRenderer:
    """Renders conversations with one template.

    `variables` are the profile's; they replace those of the form. `content` and `reply` make the
    text of a message and of a reply inert, where it holds control tokens. `ends` are the texts of
    the tokens that end a reply.
    """

    def __init__(
        self,
        template: JinjaTemplate,
        form: TemplateForm,
        variables: Mapping[str, Variable] | None = None,
        content: Callable[[str], str] = str,
        reply: Callable[[str], str] = str,
        ends: Sequence[str] = (),
    ) -> None:
        self._template = template
        self._form = form
        self._variables = dict(variables or {})
        self._content = content
        self._reply = reply
        self._ends = tuple(ends)
        self._tools: dict[str, Any] = {}

    def render(
        self,
        messages: Sequence[Message],
        *,
        last: bool = True,
        think: bool = False,
        tools: Sequence[Any] = (),
    ) -> str:
        """Render the prompt of the next reply; unless `last`, only the messages.

        `tools` are the schemas of native tools. Raises TemplateFailed.
        """
        self._tools = {"tools": list(tools)} if tools else {}
        values = self._values(messages, native=bool(tools))
        joins = any(message.thought or message.calls for message in messages)
        if not last or (self._form.append_only and not joins):
            return self._prompt(values, last=last, think=think)
        return self._joined(values, think)

    def _values(self, messages: Sequence[Message], *, native: bool) -> Values:
        """The messages as the template takes them; without tools, results are a user's."""
        form, values = self._form, list[dict[str, Any]]()
        count, waiting = 0, list[dict[str, Any]]()
        for message in messages:
            value: dict[str, Any] = {"role": message.role}
            value["content"] = self._content(message.content)
            if message.role == "assistant":
                waiting = []
                if message.thought:
                    value["thought"] = self._reply(message.thought)
                if native and message.calls:
                    value["content"] = self._reply(message.content)
                    waiting = tool_calls(message.calls, count, {"qkey": ""})
                    count += len(waiting)
                    if form.call_sample:
                        value["tool_calls"] = list(waiting)
            elif message.role == "tool":
                call = waiting.pop(0) if waiting else None
                value["role"] = form.results if call else "user"
                if call:
                    value |= {"name": call["function"]["name"], "tool_call_id": call["id"]}
            values.append(value)
        if form.system == "user":
            values = without_system(values)
        return merged(values) if form.alternates else values

    def _prompt(self, values: Values, *, last: bool, think: bool) -> str:
        form = self._form
        variables = {**(form.on if think else form.off), **self._variables, **self._tools}
        text = self._template.render(values, variables, last=last)
        # With tools, the model chooses the header of its reply: a channel and its recipient.
        closes = not self._tools or form.thought_end in form.unthinking
        return text if think or not last or not closes else text + form.unthinking

    def _joined(self, values: Values, think: bool) -> str:
        """The prompts and the replies, one after another."""
        text, before = "", ""
        renamed: Values = []
        for number, value in enumerate(values):
            if value["role"] != "assistant":
                renamed.append(value)
                continue
            thought = value.get("thought", "")
            if before:
                prompt = self._next_prompt(renamed, before, bool(thought))
            else:
                prompt = self._first_prompt(renamed, bool(thought), think)
            text += prompt + thought + value["content"]
            before = _NAME.format(number)
            renamed.append(_with_name(value, before))
        return text + self._next_prompt(renamed, before, think)

    def _first_prompt(self, values: Values, thought: bool, think: bool) -> str:
        """The first prompt: it ends as before the first reply, and begins as the present one.

        Some templates say at the beginning whether the model may think.
        """
        text = self._prompt(values, last=True, think=thought)
        content = values[-1]["content"].strip() if values else ""
        if thought == think or not content:
            return text
        begin, present, _ = self._prompt(values, last=True, think=think).rpartition(content)
        _, earlier, end = text.rpartition(content)
        return begin + content + end if present and earlier else text

    def _next_prompt(self, values: Values, before: str, think: bool) -> str:
        """The text of a prompt after the reply named `before`. Raises TemplateFailed."""
        text = self._prompt(values, last=True, think=think)
        if before:
            text = text.replace(json.dumps(before)[1:-1], before)  # in ASCII, as Reka's is
        _, found, rest = text.rpartition(before) if before else ("", "all", text)
        if not found:
            raise TemplateFailed("the model's chat template leaves out a reply")
        return self._after_call(rest, values) if before else rest

    def _after_call(self, rest: str, values: Values) -> str:
        """The text after the last reply's call: the rest of the call is a part of the reply.

        A reply ends with a token for that, or with its call.
        """
        last = max(n for n, value in enumerate(values) if value["role"] == "assistant")
        if "tool_calls" not in values[last]:
            return rest
        result = values[last + 1]["content"].strip() if last + 1 < len(values) else ""
        limit = rest.find(result) if result else -1
        limit = len(rest) if limit < 0 else limit
        places = [place for end in self._ends if (place := rest.find(end, 0, limit)) >= 0]
        if places:
            return rest[min(places) :]
        return rest.removeprefix(self._form.call_sample.rpartition("qvalue")[2])


def _with_name(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A reply with a name in place of its text, or of the last argument of its calls."""
    if "tool_calls" not in value:
        return {"role": "assistant", "content": name}
    *others, last = value["tool_calls"]
    last = {**last, "function": {**last["function"], "arguments": {"qkey": name}}}
    return {"role": "assistant", "content": "", "tool_calls": [*others, last]}


def without_system(values: Values) -> Values:
    """The messages with the system's at the top of the first user's."""
    if len(values) < 2 or values[0]["role"] != "system" or values[1]["role"] != "user":
        return values
    first = f"{values[0]['content']}\n\n{values[1]['content']}"
    return [{"role": "user", "content": first}, *values[2:]]


def merged(values: Values) -> Values:
    """The messages with neighbors of one role joined; results of tools stay apart.

    What the user says after a result joins the result.
    """
    result: Values = []
    for value in values:
        before = result[-1]["role"] if result else ""
        same = before == value["role"] != "tool" and "tool_calls" not in value
        if same or (before == "tool" and value["role"] == "user"):
            content = f"{result[-1]['content']}\n\n{value['content']}"
            result[-1] = {**result[-1], "content": content}
        else:
            result.append(value)
    return result
