"""Maps the names that models give to tools and arguments to localagent's names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from localagent.core.messages import ToolCall
from localagent.tools.base import ToolSpec, ToolSpecs

ARGUMENT_ALIASES = {
    "file": "path", "filename": "path", "file_path": "path", "filepath": "path", "dir": "path",
    "directory": "path", "folder": "path",
    "query": "pattern", "regex": "pattern", "text": "pattern", "range": "lines", "line": "lines",
    "name": "function", "symbol": "function", "regexp": "pattern",
}  # fmt: skip
"""Argument names from other agents, for all tools."""


@dataclass(frozen=True, slots=True)
class CallMatch:
    """A call or a faulty call, at its position (in characters) in the reply.

    A match with neither is a text in which other readers must not look for calls. A `native` call
    is in a form that models are trained for; a reply may hold several.
    """

    position: int
    end: int
    call: ToolCall | None
    problem: str = ""
    native: bool = False


def shared_places(start: int, end: int, count: int) -> list[tuple[int, int]]:
    """Places in one text for the `count` calls that share it, in their order."""
    firsts = [start, *range(start + 1, start + count)]
    return list(zip(firsts, [*firsts[1:], end], strict=True))


def canonical(name: str, tools: ToolSpecs) -> str:
    """The name of the tool that `name` means, or `name` in lower case if the tool is unknown."""
    lower = name.strip().lower().replace("-", "_").removeprefix("functions.")
    if lower in tools:
        return lower
    return next((spec.name for spec in tools.values() if lower in spec.aliases), lower)


def tool_call(spec: ToolSpec, arguments: dict[str, str], raw: str) -> ToolCall:
    """A call of the tool, with the arguments that the model wrote in the text `raw`."""
    return ToolCall(spec.name, _renamed(spec, arguments), raw)


def _renamed(spec: ToolSpec, arguments: dict[str, str]) -> dict[str, str]:
    """Rename the arguments to the tool's own names; a plug-in's arguments keep their names."""
    if spec.arguments is None:
        return dict(arguments)
    result: dict[str, str] = {}
    for key, value in arguments.items():
        plain = key.strip().lower()
        plain = "body" if plain in spec.body_aliases else ARGUMENT_ALIASES.get(plain, plain)
        if plain not in result or not result[plain]:
            result[plain] = value
    if spec.body == "blocks":
        _join_blocks(result)
    _join_lines(result)
    return result


def _join_blocks(arguments: dict[str, str]) -> None:
    """Join two arguments, search and replace, into one SEARCH/REPLACE block."""
    for old, new in (("search", "replace"), ("old_string", "new_string"), ("old_str", "new_str")):
        if old in arguments and new in arguments and "body" not in arguments:
            search, replace = arguments.pop(old).strip("\n"), arguments.pop(new).strip("\n")
            replace = replace + "\n" if replace else ""
            arguments["body"] = f"<<<<<<< SEARCH\n{search}\n=======\n{replace}>>>>>>> REPLACE\n"


def _join_lines(arguments: dict[str, str]) -> None:
    """Join two arguments, first and last line, into one range."""
    for first, last in (("start_line", "end_line"), ("start", "end"), ("from", "to")):
        if first in arguments and "lines" not in arguments:
            arguments["lines"] = f"{arguments.pop(first)}-{arguments.pop(last, '')}"


def strings(values: dict[Any, Any]) -> dict[str, str]:
    """Convert arguments to strings, as the tools take them. A list becomes a range or lines."""
    result = {}
    for key, value in values.items():
        if value is None:
            continue
        if isinstance(value, str):
            result[str(key)] = value
        elif isinstance(value, bool):
            result[str(key)] = str(value).lower()
        elif isinstance(value, list) and all(isinstance(item, str | int) for item in value):
            separator = "-" if all(isinstance(item, int) for item in value) else "\n"
            result[str(key)] = separator.join(str(item) for item in value)
        else:
            result[str(key)] = json.dumps(value, ensure_ascii=False, default=str)
    return result


def unknown(name: str, tools: ToolSpecs) -> str:
    """The message for a call of a tool that does not exist."""
    return f"there is no tool {name[:40]!r}; the tools are: {', '.join(tools)}"


def cut_off(name: str) -> str:
    """The message for a call that does not end."""
    return f"the tool call of {name[:40]!r} was cut off, or cannot be read; write it again"


def native_match(
    place: tuple[int, int],
    name: str,
    arguments: dict[str, Any] | None,
    raw: str,
    tools: ToolSpecs,
) -> CallMatch:
    """The match of a native call of the tool that a model calls `name`.

    `arguments` is None for a call that was cut off or cannot be read.
    """
    known = canonical(name, tools)
    if known not in tools:
        return CallMatch(*place, None, unknown(name, tools), native=True)
    if arguments is None:
        return CallMatch(*place, None, cut_off(name), native=True)
    return CallMatch(*place, tool_call(tools[known], strings(arguments), raw), native=True)


def nameless(tools: ToolSpecs) -> str:
    """The message for a call without a tool's name."""
    return (
        "the tool call names no tool; write a fenced block whose first line is the tool's name "
        f"and its arguments. The tools are: {', '.join(tools)}"
    )
