"""Reads calls whose name stands before their arguments in JSON.

Mistral writes `[TOOL_CALLS]name[ARGS]{…}`, gpt-oss names a recipient (`to=functions.name`), Kimi
and DeepSeek have control tokens of their own, Functionary writes `>>>name`. Where a worker leaves
the control tokens out, the words between them remain, and are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localagent.agent.tool_calls.aliases import (
    CallMatch,
    canonical,
    cut_off,
    native_match,
)
from localagent.agent.tool_calls.json_and_tags import loads, object_end
from localagent.tools.base import ToolSpecs

_HEADER = r"(?:\s|json|code|commentary|analysis|<\|(?:channel|constrain|message)\|>)*"
_HEAD = re.compile(
    rf"""
      \[TOOL_CALLS\]\s*(?P<mistral>[\w.-]+)\s*(?:\[CALL_ID\][\w-]*\s*)?(?:\[ARGS\]\s*)?
    | (?<![\w.\]-])(?P<bare>[\w.-]+)\s*(?:\[CALL_ID\][\w-]*\s*)?\[ARGS\]\s*
    | (?:<\|tool_call_begin\|>\s*)?(?:functions\.)(?P<kimi>[\w-]+):\d+\s*
      (?:<\|tool_call_argument_begin\|>\s*)?
    | (?P<kind>[\w.-]+)?<｜tool▁sep｜>\s*(?P<deepseek>[\w.-]+)?\s*(?:```json\s*)?
    | \bto=(?:functions\.)?(?P<harmony>[\w-]+){_HEADER}
    | >>>(?P<functionary>\w+)\n\s*
    """,
    re.VERBOSE,
)
_WORDS = ("[TOOL_CALLS]", "[ARGS]", "functions.", "<｜tool▁sep｜>", "to=", ">>>")
_END = re.compile(r"\s*(?:```\s*)?(?:<\|call\|>|<\|tool_call_end\|>|<｜tool▁call▁end｜>)")


def name_first(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Calls with their name before the JSON of their arguments."""
    if not any(word in text for word in _WORDS):
        return
    end = 0
    for head in _HEAD.finditer(text):
        name = next((name for name in (head["deepseek"], *head.groups()) if name), "")
        start = head.end()
        if head.start() < end or not name:
            continue
        known = canonical(name, tools) in tools
        if not known and head.group().startswith("to=") and "functions." not in head.group():
            continue  # words of a sentence
        if text[start : start + 1] != "{":
            # A call that is cut off before its arguments; other words have no head of this kind.
            if known and start == len(text):
                yield CallMatch(head.start(), start, None, cut_off(name), native=True)
            continue
        stop = object_end(text, start)
        end = len(text) if stop is None else stop
        arguments = _arguments(text[start:stop]) if stop is not None else None
        if closing := _END.match(text, end):
            end = closing.end()
        raw = text[head.start() : end]
        yield native_match((head.start(), end), name, arguments, raw, tools)


def _arguments(text: str) -> dict[str, Any] | None:
    try:
        value = loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
