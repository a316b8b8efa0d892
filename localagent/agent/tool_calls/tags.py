"""Reads calls that have a tag for each argument.

Qwen3-Coder, Qwen3.5, Nemotron, Seed and StepFun write `<function=name><parameter=key>`, GLM writes
`<arg_key>` and `<arg_value>`, DeepSeek V3.2 and others write `<invoke name="…">`. A call counts
only with its closing tag: without it, the reply was cut off, and arguments may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localagent.agent.tool_calls.aliases import CallMatch, native_match
from localagent.agent.tool_calls.json_and_tags import loads, object_end
from localagent.tools.base import ToolSpecs

_OPENING = re.compile(
    r"(?:<(?:seed:)?tool_call>\s*)?<function=(?P<function>[\w.-]+)>"
    r"|<(?P<space>\W\w+\W)?invoke\s+name=\"(?P<invoke>[\w.-]+)\"\s*>"
    r"|<tool_call>\s*(?P<glm>[\w.-]+)(?=\s*(?:<arg_key>|</tool_call>))"
    r"|(?:(?<=\n)|\A)(?P<bare>[\w.-]+)[ \t]*\n?(?=<arg_key>)"
    r"|<use_mcp_tool>\s*(?:<server_name>[^<]*</server_name>\s*)?"
    r"<tool_name>\s*(?P<mcp>[\w.-]+)\s*</tool_name>\s*<arguments>"
)
_NAMES = ("function", "invoke", "glm", "bare", "mcp")
# The start of an argument, and the end of its value: the last closing tag before the next tag of
# the call, because a value may be a file with such tags.
_ARGUMENT = re.compile(
    r"\s*(?:<parameter=(?P<function>[\w.-]+)>"
    r"|<(?:\W\w+\W)?parameter\s+name=\"(?P<invoke>[\w.-]+)\"[^>]*>"
    r"|<arg_key>\s*(?P<glm>[^<]*?)\s*</arg_key>\s*<arg_value>)"
)
_VALUE_END = re.compile(
    r"</(?:\W\w+\W)?(?:parameter|arg_value)>"
    r"(?=\s*(?:<(?:\W\w+\W)?parameter[ =]|<arg_key>|</(?:\W\w+\W)?(?:function|invoke|tool_call)>))"
    r"|(?=\n<parameter=[\w.-]+>)|(?=\n</function>\s*(?:</tool_call>|\Z))"
)
_CLOSING = re.compile(
    r"\s*</(?:\W\w+\W)?(?:function|invoke|seed:tool_call|tool_call|arguments)>"
    r"(?:\s*</(?:seed:tool_call|tool_call|use_mcp_tool)>)?"
)


def tags(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Calls with a tag for each argument, and calls in tags with their arguments in JSON."""
    end = 0
    for opening in _OPENING.finditer(text):
        if opening.start() < end:
            continue
        name = next(opening[key] for key in _NAMES if opening[key])
        arguments, end = _arguments(text, opening.end())
        closing = _CLOSING.match(text, end)
        end = closing.end() if closing else len(text)
        place, raw = (opening.start(), end), text[opening.start() : end]
        yield native_match(place, name, arguments if closing else None, raw, tools)


def _arguments(text: str, start: int) -> tuple[dict[str, Any] | None, int]:
    """The arguments from `start` on, and their end; None if a value does not end."""
    brace = re.compile(r"\s*\{").match(text, start)
    if brace:
        stop = object_end(text, brace.end() - 1)
        try:
            value = loads(text[brace.end() - 1 : stop]) if stop else None
        except ValueError:
            value = None
        return (value, stop or start) if isinstance(value, dict) else (None, start)
    pairs: dict[str, Any] = {}
    while argument := _ARGUMENT.match(text, start):
        key = next(key for key in argument.groups() if key is not None)
        end = _VALUE_END.search(text, argument.end())
        if end is None:
            return None, len(text)
        value = text[argument.end() : end.start()]
        own_lines = value.startswith("\n")
        pairs[key] = value[1:].removesuffix("\n") if own_lines else value
        start = end.end()
    return pairs, start
