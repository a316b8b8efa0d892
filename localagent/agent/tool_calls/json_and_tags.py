"""Reads tool calls in tags and in JSON, including the faulty JSON that models write.

The reader accepts raw newlines in strings, trailing commas, Python literals, and missing brackets
at the end. It repairs a text only if the text has one plain meaning. A text that was cut off inside
a string is not repaired.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any, Literal

from localagent.agent.tool_calls.aliases import (
    CallMatch,
    canonical,
    nameless,
    strings,
    tool_call,
    unknown,
)
from localagent.tools.base import ToolSpec, ToolSpecs

_NAME_KEYS = ("name", "tool", "tool_name", "action", "function")
_ARGUMENT_KEYS = (
    *("arguments", "parameters", "input", "args", "action_input", "params", "tool_input"),
)
_TAGGED = re.compile(r"<(tool_call|tool|function_call)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_MAX_OBJECTS = 50


def tagged(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """JSON calls in tags such as <tool_call>."""
    for match in _TAGGED.finditer(text):
        inner = match.group(2).strip()
        if not inner.startswith(("{", "[")):
            continue  # the form <tool_call> around <function=…>
        one = of_json(inner, match.group(), tools, sure=True)
        yield CallMatch(match.start(), match.end(), one.call, one.problem)


def functions(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Calls in <function=…> with <parameter=…>."""
    for match in _FUNCTION.finditer(text):
        name = canonical(match.group(1), tools)
        problem = "" if name in tools else unknown(match.group(1), tools)
        pairs = {}
        for key, value in _PARAMETER.findall(match.group(2)):
            own_lines = value.startswith("\n")
            pairs[key] = value[1:].removesuffix("\n") if own_lines else value
        call = None if problem else tool_call(tools[name], pairs, match.group())
        yield CallMatch(match.start(), match.end(), call, problem)


def objects(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """JSON objects at the start of a line."""
    for count, match in enumerate(re.finditer(r"^[ \t]*(\{)", text, re.M)):
        if count >= _MAX_OBJECTS:
            return
        start = match.start(1)
        end = object_end(text, start) or len(text)
        raw = text[start:end]
        one = of_json(raw, raw, tools, sure=False)
        yield CallMatch(start, end, one.call, one.problem)


def of_json(text: str, raw: str, tools: ToolSpecs, sure: bool) -> CallMatch:
    """The call in a JSON text. `sure` says that the text around the JSON marks it as a call."""
    names_tool = re.search(r'"(?:arguments|parameters|action_input)"\s*:', text) is not None
    try:
        value = loads(text)
    except ValueError:
        end = object_end(text, 0)
        try:
            value = loads(text[:end]) if end is not None else None
        except ValueError:
            value = None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        if sure or names_tool:
            problem = (
                "the tool call is not valid JSON, or was cut off; write it as a fenced block "
                "whose first line is the tool's name and its arguments"
            )
            return CallMatch(0, 0, None, problem)
        return CallMatch(0, 0, None)
    return _of_object(value, raw, tools, sure)


def _of_object(value: dict[str, Any], raw: str, tools: ToolSpecs, sure: bool) -> CallMatch:
    """The call that a JSON object describes."""
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner  # OpenAI's form
    name_key = next((k for k in _NAME_KEYS if isinstance(value.get(k), str)), None)
    if name_key is None:
        # {"read": {"path": …}}
        (key, content), *more = [*value.items()] or [("", None)]
        name = canonical(str(key), tools)
        if not more and name in tools and isinstance(content, dict):
            return CallMatch(0, 0, tool_call(tools[name], strings(content), raw))
        return CallMatch(0, 0, None, nameless(tools) if sure else "")
    name = canonical(value[name_key], tools)
    argument_key = next((k for k in _ARGUMENT_KEYS if k in value), None)
    arguments = value.get(argument_key) if argument_key else None
    if isinstance(arguments, str) and name in tools:
        arguments = _parsed_arguments(tools[name], arguments)
    if argument_key is None:
        arguments = {k: v for k, v in value.items() if k != name_key and k not in ("id", "type")}
    if name not in tools:
        problem = unknown(value[name_key], tools) if sure or argument_key else ""
        return CallMatch(0, 0, None, problem)
    if not isinstance(arguments, dict):
        arguments = {}
    call = tool_call(tools[name], strings(arguments), raw)
    models = [spec.arguments for spec in tools.values() if spec.arguments]
    known = {key for model in models for key in model.model_fields}
    if argument_key is None and not sure and not (call.arguments and set(call.arguments) <= known):
        # an object that has a name but is no call, such as a package description
        return CallMatch(0, 0, None)
    return CallMatch(0, 0, call)


def _parsed_arguments(spec: ToolSpec, text: str) -> dict[str, Any]:
    """The arguments in a string, which is JSON again or the positional argument."""
    try:
        value = loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {spec.positional or "body": text}


Kind = Literal["string", "quote", "plain"]

# Longer texts are not parsed as calls; the bound keeps parsing linear in practice.
_MAX_CHARS = 400_000


def loads(text: str) -> Any:
    """The value of the JSON in `text`. Raises ValueError if the text has no plain meaning."""
    bare = text.strip()
    if len(bare) > _MAX_CHARS:
        raise ValueError("too long")
    for attempt in (bare, _without_trailing_commas(bare)):
        try:
            # strict=False allows raw newlines and tabs inside strings.
            return json.loads(attempt, strict=False)
        except RecursionError:
            raise ValueError("too deeply nested") from None
        except ValueError:
            continue
    try:
        return json.loads(_without_trailing_commas(_closed(bare)), strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(bare)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError("not JSON") from None


def object_end(text: str, start: int) -> int | None:
    """The position after the object that opens at `start`; None if the object does not end."""
    depth = 0
    for position, character, kind in _scan(text, start):
        if kind != "plain":
            continue
        if character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return position + 1
    return None


def _scan(text: str, start: int = 0) -> Iterator[tuple[int, str, Kind]]:
    """Each character with its position and kind: part of a string, its quote, or neither."""
    inside = escaped = False
    for position in range(start, len(text)):
        character = text[position]
        if escaped:
            escaped = False
            yield position, character, "string"
        elif character == '"':
            inside = not inside
            yield position, character, "quote"
        else:
            escaped = inside and character == "\\"
            yield position, character, "string" if inside else "plain"


def _without_trailing_commas(text: str) -> str:
    """`text` without commas right before a closing bracket."""
    drop: set[int] = set()
    comma: int | None = None
    for position, character, kind in _scan(text):
        if kind == "plain" and character.isspace():
            continue
        if kind == "plain" and character in "}]" and comma is not None:
            drop.add(comma)
        comma = position if kind == "plain" and character == "," else None
    return "".join(c for position, c in enumerate(text) if position not in drop)


def _closed(text: str) -> str:
    """`text` with the closing brackets that it lacks.

    Raises ValueError if no bracket is missing, or if more than closing brackets is missing.
    """
    stack: list[str] = []
    quotes = 0
    for _, character, kind in _scan(text):
        quotes += kind == "quote"
        if kind != "plain":
            continue
        if character in "{[":
            stack.append("}" if character == "{" else "]")
        elif character in "}]" and (not stack or stack.pop() != character):
            raise ValueError("brackets do not match")
    if not stack or quotes % 2 or text[-1:] not in ('"', "}", "]"):
        raise ValueError("cut off within a value")
    return text + "".join(reversed(stack))
