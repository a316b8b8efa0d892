"""What models call tools and arguments, and what these are called here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localagent.core.messages import ToolCall

# Tools whose block has a body that means something.
BODIES = ("shell", "write", "edit", "done")
# What an argument without a name is. Other tools than these and BODIES are plug-ins.
POSITIONAL = {"read": "path", "list": "path", "write": "path", "edit": "path", "search": "pattern"}
ARGUMENTS = {"path", "lines", "pattern", "mode", "depth", "function", "body"}

# Names that models know from other agents. Only for tools that take the same thing.
_TOOL_ALIASES = {
    "read_file": "read", "readfile": "read", "view": "read", "view_file": "read",
    "open_file": "read", "cat": "read",
    "list_files": "list", "list_dir": "list", "list_directory": "list", "ls": "list",
    "grep": "search", "search_files": "search", "search_code": "search", "grep_search": "search",
    "write_file": "write", "create_file": "write", "writefile": "write", "create": "write",
    "edit_file": "edit", "editfile": "edit",
    "run_command": "shell", "run_shell": "shell", "execute_command": "shell", "run": "shell",
    "terminal": "shell", "exec": "shell",
    "finish": "done", "complete": "done", "attempt_completion": "done",
}  # fmt: skip
# Info strings of blocks with commands in them: a call only where the reply has no other.
SHELLS = ("bash", "sh", "zsh", "console", "shell-session", "powershell", "cmd", "terminal")
ARGUMENT_ALIASES = {
    "file": "path", "filename": "path", "file_path": "path", "filepath": "path", "dir": "path",
    "directory": "path", "folder": "path",
    "query": "pattern", "regex": "pattern", "text": "pattern", "range": "lines", "line": "lines",
    "name": "function", "symbol": "function", "regexp": "pattern",
}  # fmt: skip
_BODY_ALIASES = {
    "shell": ("command", "cmd", "script", "code", "input"),
    "write": ("content", "contents", "text", "code", "file_text", "data"),
    "edit": ("blocks", "block", "diff", "edits", "code", "content", "new_code", "patch"),
    "done": ("summary", "message", "result", "answer", "text"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """A call, or what is wrong with it, at its position (in characters) in the reply.

    Neither: a piece of text that holds no call and is not to be looked into.
    """

    position: int
    end: int
    call: ToolCall | None
    problem: str = ""


def canonical(name: str, tools: Sequence[str]) -> str:
    """The tool meant by `name`, or `name` in lower case."""
    lower = name.strip().lower().replace("-", "_").removeprefix("functions.")
    if lower in tools:
        return lower
    alias = _TOOL_ALIASES.get(lower, "")
    return alias if alias in tools else lower


def takes_body(name: str) -> bool:
    """Whether a block of the tool has a body that is one text; a plug-in's may."""
    return name in BODIES or name not in POSITIONAL


def renamed_arguments(name: str, arguments: dict[str, str]) -> dict[str, str]:
    """The arguments under the names that the tools know them by; a plug-in's stay as they are."""
    if name not in BODIES and name not in POSITIONAL:
        return dict(arguments)
    result: dict[str, str] = {}
    for key, value in arguments.items():
        plain = key.strip().lower()
        if name in BODIES and plain in _BODY_ALIASES.get(name, ()):
            plain = "body"
        elif plain in ARGUMENT_ALIASES:
            plain = ARGUMENT_ALIASES[plain]
        if plain not in result or not result[plain]:
            result[plain] = value
    _join_blocks(name, result)
    _join_lines(result)
    return result


def _join_blocks(name: str, arguments: dict[str, str]) -> None:
    """Search and replace as two arguments become one block."""
    for old, new in (("search", "replace"), ("old_string", "new_string"), ("old_str", "new_str")):
        if name == "edit" and old in arguments and new in arguments and "body" not in arguments:
            search, replace = arguments.pop(old).strip("\n"), arguments.pop(new).strip("\n")
            replace = replace + "\n" if replace else ""
            arguments["body"] = f"<<<<<<< SEARCH\n{search}\n=======\n{replace}>>>>>>> REPLACE\n"


def _join_lines(arguments: dict[str, str]) -> None:
    """First and last line as two arguments become one range."""
    for first, last in (("start_line", "end_line"), ("start", "end"), ("from", "to")):
        if first in arguments and "lines" not in arguments:
            arguments["lines"] = f"{arguments.pop(first)}-{arguments.pop(last, '')}"


def strings(values: dict[Any, Any]) -> dict[str, str]:
    """Arguments as the tools take them: strings."""
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


def unknown(name: str, tools: Sequence[str]) -> str:
    return f"there is no tool {name[:40]!r}; the tools are: {', '.join(tools)}"


def nameless(tools: Sequence[str]) -> str:
    return (
        "the tool call names no tool; write a fenced block whose first line is the tool's name "
        f"and its arguments. The tools are: {', '.join(tools)}"
    )
