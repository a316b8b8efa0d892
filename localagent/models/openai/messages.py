"""Messages as OpenAI's API takes them, with tool calls.

A server returns tool calls apart from the text. localagent keeps a reply as one text, so a call is
written into it in the form of `CALLS`, and read from it again for the next request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from localagent.core.messages import Message
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.chat_templates.render import merged, without_system

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
CALLS = {
    "call_form": "json",
    "call_start": CALL_START,
    "call_end": CALL_END,
    "call_sample": (
        f'{CALL_START}\n{{"name": "qone", "arguments": {{"qkey": "qvalue"}}}}\n{CALL_END}'
    ),
    "several_calls": True,
    "results": "tool",
}
"""The fields of a `TemplateForm` for the calls of a server."""

_CALL = re.compile(rf"{CALL_START}\n(\{{.*?\}})\n{CALL_END}", re.DOTALL)


def call_head(name: str) -> str:
    """The text before the arguments of a call."""
    return f'{CALL_START}\n{{"name": {json.dumps(name)}, "arguments": '


def call_tail() -> str:
    """The text after the arguments of a call."""
    return f"}}\n{CALL_END}"


def chat_messages(
    prompt: Sequence[Message], form: TemplateForm, *, native: bool
) -> list[dict[str, Any]]:
    """The conversation; unless `native`, calls are text and their results are the user's."""
    values: list[dict[str, Any]] = []
    waiting: list[str] = []
    for message in prompt:
        value: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.role == "assistant":
            waiting = []
            if message.thought:
                value["reasoning_content"] = message.thought
            if native and message.calls:
                text, calls = _calls(message.content, len(values))
                if calls:
                    value |= {"content": text, "tool_calls": calls}
                    waiting = [call["id"] for call in calls]
        elif message.role == "tool":
            if waiting:
                value["tool_call_id"] = waiting.pop(0)
            else:
                value["role"] = "user"
        values.append(value)
    if form.system == "user":
        values = without_system(values)
    return merged(values) if form.alternates else values


def _calls(text: str, first: int) -> tuple[str, list[dict[str, Any]]]:
    """The text before the calls of a reply, and the calls; none if one of them is not whole."""
    calls = []
    for number, match in enumerate(_CALL.finditer(text)):
        try:
            call = json.loads(match[1], strict=False)
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
        except (ValueError, KeyError, TypeError):
            return text, []
        # Mistral's templates want nine characters.
        calls.append(
            {"id": f"call{first % 1000:03}{number:02}", "type": "function", "function": function}
        )
    return text.partition(CALL_START)[0].rstrip() if calls else text, calls
