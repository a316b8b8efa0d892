"""Makes room in a conversation of tool calls that no longer fits the model's window.

What is freed, in this order and no more than needed:

1. results of tools, the oldest first: the call stays, and can be made again;
2. earlier turns: what was asked, what came of it and which files it changed stay;
3. earlier steps of this turn: which calls they were stays.

What the user asks now and the last steps are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.context.excerpt import Count
from localagent.context.prompts import Prompts
from localagent.core.messages import Message, ToolCall

TARGET = 0.6
"""Of the window: what is left after making room, so that it is not needed again at once."""

KEPT = 4
"""Messages at the end that stay as they are: the last two calls with their results."""

_PER_MESSAGE = 8  # tokens of a chat template around each message
_CHARS = 300  # of a text that stands for a turn
_CHANGING = ("edit", "write")

Read = Callable[[str], ToolCall | None]
"""The tool call in an assistant's message, or None."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` begin with the system's; `asked` is the place of what the user asks now."""

    messages: tuple[Message, ...]
    asked: int


def tokens(messages: Sequence[Message], count: Count) -> int:
    """About how many tokens the conversation takes."""
    return sum(count(m.content) + _PER_MESSAGE for m in messages)


def compacted(
    old: Conversation, prompts: Prompts, read: Read, count: Count, window: int
) -> Conversation | None:
    """The conversation with room in it, or None where nothing can be freed any more."""
    target = int(window * TARGET)
    new = _without_results(old, prompts, read, count, target)
    for shorten in (_without_turns, _without_steps):
        if tokens(new.messages, count) > target:
            new = shorten(new, prompts, read)
    return new if tokens(new.messages, count) < tokens(old.messages, count) else None


def _without_results(
    old: Conversation, prompts: Prompts, read: Read, count: Count, target: int
) -> Conversation:
    messages = list(old.messages)
    over = tokens(messages, count) - target
    for place in range(2, len(messages) - KEPT):
        if over <= 0:
            break
        call = read(messages[place - 1].content) if _is_result(messages, place, old.asked) else None
        if call is None:
            continue
        said = prompts.render("react/left-out", call=_named(call))
        saved = count(messages[place].content) - count(said)
        if saved > 0:
            messages[place] = Message("user", said)
            over -= saved
    return Conversation(tuple(messages), old.asked)


def _is_result(messages: Sequence[Message], place: int, asked: int) -> bool:
    return (
        place != asked
        and messages[place].role == "user"
        and messages[place - 1].role == "assistant"
    )


def _without_turns(old: Conversation, prompts: Prompts, read: Read) -> Conversation:
    """Earlier turns become a paragraph before what is asked now."""
    earlier = old.messages[1 : old.asked]
    if not earlier:
        return old
    told: list[str] = []
    changed: dict[str, None] = {}
    result = False  # whether the message before was a call
    for message in earlier:
        call = read(message.content) if message.role == "assistant" else None
        if call is not None and call.name in _CHANGING:
            changed[call.arguments.get("path", "")] = None
        if message.role == "user":
            if not result:
                told.append(f"- {_short(message.content)}")
        elif call is None or call.name == "done":
            told.append(f"  {_short(call.arguments.get('body', '') if call else message.content)}")
        result = call is not None and call.name != "done"
    text = prompts.render(
        "react/earlier",
        turns="\n".join(told),
        changed=", ".join(changed) or "none",
        task=old.messages[old.asked].content,
    )
    kept = old.messages[old.asked + 1 :]
    return Conversation((old.messages[0], Message("user", text), *kept), 1)


def _without_steps(old: Conversation, prompts: Prompts, read: Read) -> Conversation:
    """Earlier steps of this turn become a list of calls after what is asked."""
    steps = old.messages[old.asked + 1 :]
    cut = len(steps) - KEPT
    while cut > 0 and steps[cut].role != "assistant":
        cut -= 1
    if cut <= 0:
        return old
    calls = [read(m.content) for m in steps[:cut] if m.role == "assistant"]
    text = prompts.render(
        "react/steps",
        task=old.messages[old.asked].content,
        steps="\n".join(f"- {_named(call)}" for call in calls if call is not None),
    )
    head = old.messages[: old.asked]
    return Conversation((*head, Message("user", text), *steps[cut:]), old.asked)


def _named(call: ToolCall) -> str:
    arguments = [f"{k}={_short(v)}" for k, v in call.arguments.items() if k != "body"]
    if call.name == "shell":
        arguments.append(_short(call.arguments.get("body", "")))
    return " ".join([call.name, *arguments])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CHARS else line[:_CHARS] + "…"
