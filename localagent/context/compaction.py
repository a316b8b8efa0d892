"""Compacts a conversation with tool calls that no longer fits the model's window.

Compaction removes only as much as it must, in this order:

1. thoughts before replies;
2. results of tools, the oldest first; the calls stay, and the model can repeat them;
3. earlier turns; their requests, outcomes and changed files stay;
4. earlier steps of this turn; their calls stay.

The user's current request and the last steps never change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from localagent.context.excerpt import Count
from localagent.context.limits import CONTEXT
from localagent.context.prompts import Prompts
from localagent.core.messages import Message, ToolCall
from localagent.tools.base import DONE
from localagent.tools.registry import spec_of

CallIn = Callable[[str], ToolCall | None]
"""Returns the tool call in an assistant's message, or None."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, the system prompt first; `request` is the position of the current request."""

    messages: tuple[Message, ...]
    request: int


def tokens(messages: Sequence[Message], count: Count) -> int:
    """The approximate number of tokens of a conversation."""
    return sum(count(m.thought + m.content) + CONTEXT.message_tokens for m in messages)


def compact(
    old: Conversation, prompts: Prompts, call_in: CallIn, count: Count, window: int
) -> Conversation | None:
    """A shorter conversation, or None if nothing can be left out."""
    target = int(window * CONTEXT.compact_share)
    messages = tuple(replace(message, thought="") for message in old.messages)
    new = _without_results(Conversation(messages, old.request), prompts, call_in, count, target)
    for shorten in (_without_turns, _without_steps):
        if tokens(new.messages, count) > target:
            new = shorten(new, prompts, call_in)
    return new if tokens(new.messages, count) < tokens(old.messages, count) else None


def _without_results(
    old: Conversation, prompts: Prompts, call_in: CallIn, count: Count, target: int
) -> Conversation:
    """Replace each tool's result by a line that names the call, until the target is reached."""
    messages = list(old.messages)
    over = tokens(messages, count) - target
    for place in range(2, len(messages) - CONTEXT.recent_messages):
        if over <= 0:
            break
        before, message = messages[place - 1], messages[place]
        is_result = place != old.request and message.role == "user" and before.role == "assistant"
        call = call_in(before.content) if is_result else None
        if message.role == "tool":  # the model knows the call: it is in its own form
            said = "this call"
        elif call is not None:
            said = _call_line(call)
        else:
            continue
        line = prompts.render("react/left-out", call=said)
        saved = count(message.content) - count(line)
        if saved > 0:
            messages[place] = replace(message, content=line)
            over -= saved
    return Conversation(tuple(messages), old.request)


def _without_turns(old: Conversation, prompts: Prompts, call_in: CallIn) -> Conversation:
    """Replace earlier turns by a paragraph before the current request."""
    earlier = old.messages[1 : old.request]
    if not earlier:
        return old
    lines: list[str] = []
    changed: dict[str, None] = {}
    is_result = False  # whether the previous message was a call
    for message in earlier:
        call = call_in(message.content) if message.role == "assistant" else None
        if call is not None and spec_of(call.name).effect == "write":
            changed[call.arguments.get("path", "")] = None
        if message.role == "user":
            if not is_result:
                lines.append(f"- {_short(message.content)}")
        elif call is None or call.name == DONE.name:
            lines.append(f"  {_short(call.arguments.get('body', '') if call else message.content)}")
        is_result = call is not None and call.name != DONE.name
    text = prompts.render(
        "react/earlier",
        turns="\n".join(lines),
        changed=", ".join(changed) or "none",
        task=old.messages[old.request].content,
    )
    rest = old.messages[old.request + 1 :]
    return Conversation((old.messages[0], Message("user", text), *rest), 1)


def _without_steps(old: Conversation, prompts: Prompts, call_in: CallIn) -> Conversation:
    """Replace earlier steps of the current turn by a list of their calls after the request."""
    steps = old.messages[old.request + 1 :]
    cut = len(steps) - CONTEXT.recent_messages
    while cut > 0 and steps[cut].role != "assistant":
        cut -= 1
    if cut <= 0:
        return old
    calls = [call_in(m.content) for m in steps[:cut] if m.role == "assistant"]
    text = prompts.render(
        "react/steps",
        task=old.messages[old.request].content,
        steps="\n".join(f"- {_call_line(call)}" for call in calls if call is not None),
    )
    head = old.messages[: old.request]
    return Conversation((*head, Message("user", text), *steps[cut:]), old.request)


def _call_line(call: ToolCall) -> str:
    arguments = [f"{k}={_short(v)}" for k, v in call.arguments.items() if k != "body"]
    if spec_of(call.name).body == "command":
        arguments.append(_short(call.arguments.get("body", "")))
    return " ".join([call.name, *arguments])


def _short(text: str) -> str:
    line, most = " ".join(text.split()), CONTEXT.summary_chars
    return line if len(line) <= most else line[:most] + "…"
