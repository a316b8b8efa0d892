"""What was said before, for a question that goes on from it: the last exchanges, shortened."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localagent.context.excerpt import Count
from localagent.core.messages import Message
from localagent.index.query import parse_query

EXCHANGES = 2
_CHARS = 800  # of one message
_FEW_WORDS = 4

Exchange = tuple[str, str]
"""What the user said, and what was said to it in the end."""


def exchanges(conversation: Sequence[Message], is_call: Callable[[str], bool]) -> list[Exchange]:
    """The exchanges of a conversation, oldest first. `is_call` tells of an assistant's message
    whether a tool is called in it: such messages, and the results after them, are left out."""
    found: list[Exchange] = []
    asked, result = "", False
    for message in conversation:
        if message.role == "assistant":
            result = is_call(message.content)
            if not result and asked:
                found.append((asked, message.content))
                asked = ""
        elif message.role == "user" and not result:
            asked = message.content
    return found


def earlier(before: Sequence[Exchange], count: Count, budget: int) -> list[Message]:
    """The last exchanges that fit into `budget` tokens, as messages, oldest first."""
    found: list[Message] = []
    for asked, said in reversed(before[-EXCHANGES:]):
        pair = [Message("user", _short(asked)), Message("assistant", _short(said))]
        budget -= sum(count(message.content) for message in pair)
        if budget < 0:
            break
        found = [*pair, *found]
    return found


def with_subject(prompt: str, before: Sequence[Exchange]) -> str:
    """`prompt` for a search: with the question before it, where it has few words of its own, as in
    "and where is that tested?"."""
    if not before or len(parse_query(prompt).terms) >= _FEW_WORDS:
        return prompt
    return f"{prompt}\n{before[-1][0]}"


def _short(text: str) -> str:
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}…"
