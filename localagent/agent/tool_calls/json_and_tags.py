"""Reads tool calls in JSON, bare or in tags.

Models write faulty JSON. The reader accepts raw newlines in strings, trailing commas, Python
literals, and a missing bracket at the end. It repairs a text only if the text has one plain
meaning. A text that was cut off inside a value is not repaired.
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
    shared_places,
    strings,
    tool_call,
    unknown,
)
from localagent.tools.base import ToolSpec, ToolSpecs

_NAME_KEYS = ("name", "tool", "tool_name", "action", "function")
_ARGUMENT_KEYS = (
    *("arguments", "parameters", "input", "args", "action_input", "params", "tool_input"),
)
_TAGGED = re.compile(r"<(tool_calls?|tool|function_call)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.DOTALL)
# Markers before JSON without a tag at its end.
_MARKED = re.compile(
    r"(?:\[TOOL_CALLS\]|<\|tool_call\|>|<\|tool_call_start\|>|<\|START_ACTION\|>|<\|python_tag\|>"
    r"|<\|tools_prefix\|>|<\|function_call\|>|\bfunctools|\bAction:\s*```json)\s*(?=[\[{]\s*[{\"])"
)
_CLOSING = re.compile(r"\s*</tool_call>")
_FENCE = re.compile(r"\s*```")
_MAX_OBJECTS = 50


def tagged(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """JSON calls in tags such as <tool_call>."""
    for match in _TAGGED.finditer(text):
        inner = match.group(2).strip()
        if not inner.startswith(("{", "[")):
            continue  # the form <tool_call> around <function=…>
        yield from _several(inner, match.group(), (match.start(), match.end()), tools)


def marked(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """JSON calls after a marker such as [TOOL_CALLS]."""
    for match in _MARKED.finditer(text):
        end = object_end(text, match.end()) or len(text)
        fence = _FENCE.match(text, end) if "```" in match.group() else None
        place = match.start(), fence.end() if fence else end
        yield from _several(text[match.end() : end], text[match.start() : end], place, tools)


def _several(text: str, raw: str, place: tuple[int, int], tools: ToolSpecs) -> Iterator[CallMatch]:
    """The calls in a list of JSON objects, or in objects one after another."""
    items = _objects_of(text)
    if len(items) < 2:
        one = of_json(text, raw, tools, sure=True)
        yield CallMatch(*place, one.call, one.problem, native=True)
        return
    for where, item in zip(shared_places(*place, len(items)), items, strict=True):
        one = _of_object(item, raw, tools, sure=True)
        yield CallMatch(*where, one.call, one.problem, native=True)


def _objects_of(text: str) -> list[dict[str, Any]]:
    """The whole objects of a list, or of a row of objects; [] for anything else."""
    found: list[dict[str, Any]] = []
    start = 1 if text.startswith("[") else 0
    while (brace := re.compile(r"[\s,;]*(?=\{)").match(text, start)) is not None:
        end = object_end(text, brace.end())
        if end is None:
            break
        try:
            value = loads(text[brace.end() : end])
        except ValueError:
            break
        if isinstance(value, dict):
            found.append(value)
        start = end
    return found


def objects(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """JSON objects at the start of a line."""
    for count, match in enumerate(re.finditer(r"^[ \t]*(\{)", text, re.M)):
        if count >= _MAX_OBJECTS:
            return
        start = match.start(1)
        end = object_end(text, start) or len(text)
        raw = text[start:end]
        one = of_json(raw, raw, tools, sure=False)
        closing = _CLOSING.match(text, end)  # of a tag whose beginning was left out
        end = closing.end() if closing else end
        yield CallMatch(start, end, one.call, one.problem, native=closing is not None)


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
    for attempt in _attempts(bare):
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


def _attempts(text: str) -> Iterator[str]:
    yield text
    yield _without_trailing_commas(text)


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
    if len(stack) != 1 or quotes % 2 or text[-1:] not in ("}", "]"):
        raise ValueError("cut off within a value")
    return text + "".join(reversed(stack))
