"""Reading tool calls out of a model's reply.

The form that is asked for is a fenced block, its info string the tool's name and `key=value`
arguments, its body the argument `body`:

    ```write path=src/new.py
    print("hello")
    ```

Small models drift from it, so these are read as well: Hermes' `<tool_call>{…}</tool_call>`,
`<function=…>` with `<parameter=…>`, JSON objects in a ```json block or bare, tools under the names
that other agents give them, arguments in the body, fences left open. What names no tool is
refused, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from localagent.agent.loose_json import loads, object_end
from localagent.edits.fences import Mark, closings, dedented, mark
from localagent.edits.syntax import syntax_error
from localagent.errors import ToolError
from localagent.messages import ToolCall

# Tools that only look: several of them in one reply are all carried out.
READERS = ("read", "list", "search")
# Tools whose block has a body that means something.
_BODIES = ("shell", "write", "edit", "done")
# What an argument without a name is.
_POSITIONAL = {"read": "path", "list": "path", "write": "path", "edit": "path", "search": "pattern"}

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
_SHELLS = ("bash", "sh", "zsh", "console", "shell-session", "powershell", "cmd", "terminal")
_ARGUMENT_ALIASES = {
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
_ARGUMENTS = {"path", "lines", "pattern", "mode", "depth", "function", "body"}
_NAME_KEYS = ("name", "tool", "tool_name", "action", "function")
_ARGUMENT_KEYS = (
    "arguments",
    "parameters",
    "input",
    "args",
    "action_input",
    "params",
    "tool_input",
)

_PAIR = re.compile(
    r"""(?P<key>[A-Za-z_]\w*)\s*=\s*
        (?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|.*?(?=\s+[A-Za-z_]\w*\s*=|$))\s*""",
    re.VERBOSE | re.DOTALL,
)
_LABEL = re.compile(r"^\s*([A-Za-z_]\w*)\s*[:=]\s*(.*?)\s*$")
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<(tool_call|tool|function_call)>(.*?)(?:</\1>|(?=<\1>)|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=([\w.-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_MAX_OBJECTS = 50


@dataclass(frozen=True, slots=True)
class _Found:
    """A call, or what is wrong with it, at its position (in characters) in the reply."""

    position: int
    end: int
    call: ToolCall | None
    problem: str = ""


def parse_actions(reply: str, tools: Sequence[str]) -> list[ToolCall]:
    """The calls of `reply` that are to be carried out: the first, or the first few if they all
    only read; none where there is no call.

    Raises ToolError where the first call names no tool of `tools`, or cannot be read.
    """
    text = _THINKING.sub(lambda match: " " * len(match.group()), reply)
    found = list(_all(text, tools)) or list(_commands(text, tools))
    calls: list[ToolCall] = []
    for one in found:
        if one.call is None:
            if calls:
                break
            raise ToolError(one.problem)
        if calls and one.call.name not in READERS:
            break
        calls.append(one.call)
        if one.call.name not in READERS:
            break
    return calls


def _all(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    """All calls of a reply in any form; what lies inside one is not looked into again."""
    found = [
        one for reader in (_fenced, _tagged, _functions, _objects) for one in reader(text, tools)
    ]
    end = 0
    for one in sorted(found, key=lambda f: f.position):
        if one.position >= end:
            end = one.end
            if one.call is not None or one.problem:
                yield one


# Fenced blocks


def _fenced(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    """Calls in fences. Other fenced blocks are yielded empty, so that nobody looks into them."""
    lines = text.removesuffix("\n").split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    number = 0
    while number < len(lines):
        opening, inline = _opening(lines[number])
        if opening is None:
            number += 1
            continue
        name, rest = _head(opening.info, tools)
        is_call = name in tools
        if inline:
            close, end = number + 1, number + 1
        else:
            close, end = _span(lines, number, opening, name if is_call else "", rest, tools)
        body = dedented(lines[number + 1 : close], opening.indent)
        raw = "\n".join(lines[number:end])
        position, after = offsets[number], min(offsets[end], len(text))
        if is_call:
            yield _call_of(name, rest, body, raw, position, after)
        else:
            if body.lstrip().startswith("{") and not inline:
                # A string in the object may hold a fence.
                start = text.index("{", offsets[number + 1])
                after = max(after, object_end(text, start) or after)
                if after > offsets[end]:
                    body = raw = text[start:after]
                    end = text.count("\n", 0, after) + 1
            one = _of_other_block(opening.info, body, raw, tools)
            yield _Found(position, after, one.call, one.problem)
        number = max(end, number + 1)


def _opening(line: str) -> tuple[Mark | None, bool]:
    """The mark that opens a block, and whether the block ends in the same line."""
    found = mark(line)
    if found is not None:
        return found, False
    inline = re.match(r"^([ \t]*)(`{3,})[ \t]*([^`\n]+?)[ \t]*`{3,}[ \t]*$", line)
    if inline and ("=" in inline.group(3) or " " in inline.group(3)):
        return Mark(inline.group(1), inline.group(2), inline.group(3)), True
    return None, False


def _head(info: str, tools: Sequence[str]) -> tuple[str, str]:
    """The tool that an info string names (or its first word), and what follows the name."""
    bare = re.sub(r"^(?:tool(?:_call)?|action|call)\s*[: ]\s*(?=\w)", "", info.strip(), flags=re.I)
    found = re.match(r"[\w.-]+", bare)
    if found is None:
        return "", info
    name = _canonical(found.group(), tools)
    return name, bare[found.end() :].lstrip(": \t")


def _canonical(name: str, tools: Sequence[str]) -> str:
    """The tool meant by `name`, or `name` in lower case."""
    lower = name.strip().lower().replace("-", "_").removeprefix("functions.")
    if lower in tools:
        return lower
    alias = _TOOL_ALIASES.get(lower, "")
    return alias if alias in tools else lower


def _span(
    lines: Sequence[str], start: int, opening: Mark, name: str, rest: str, tools: Sequence[str]
) -> tuple[int, int]:
    """Where the body of a block ends, and the line after the block."""
    stop = _next_call(lines, start, opening, tools) if name else len(lines)
    ends = closings(lines, start, opening, stop, first=not name)
    if not ends:
        return stop, stop
    first = ends[0]
    if name == "edit":
        first = next((end for end in sorted(ends) if _whole_blocks(lines[start:end])), first)
    path = _pairs(rest).get("path", rest.split(" ")[0] if rest else "")
    if name == "write" and len(ends) > 1:
        if re.search(r"\.(?:md|mdx|markdown|rst|txt)$", path, re.I):
            first = max(ends)  # a Markdown file has fences of its own
        elif path.endswith((".py", ".pyi")):
            bodies = ((end, "\n".join(lines[start + 1 : end]) + "\n") for end in sorted(ends))
            good = (end for end, body in bodies if syntax_error("body.py", body) is None)
            first = next(good, first)
    return first, first + 1


def _whole_blocks(lines: Sequence[str]) -> bool:
    """Whether each SEARCH mark in `lines` has its REPLACE mark."""
    opened = sum(line.lstrip().startswith("<<<<<") for line in lines)
    return opened == sum(line.lstrip().startswith(">>>>>") for line in lines)


def _next_call(lines: Sequence[str], start: int, opening: Mark, tools: Sequence[str]) -> int:
    """The line of the next block that is a call, after this one was closed or in its middle."""
    depth = 1
    for number in range(start + 1, len(lines)):
        found = mark(lines[number])
        if found is None or found.marks[0] != opening.marks[0]:
            continue
        if opening.closed_by(found):
            depth = depth - 1 if depth else 1
        elif opening.holds(found):
            name, rest = _head(found.info, tools)
            if name in tools and found.indent == opening.indent and (not depth or "=" in rest):
                return number
            depth += 1
    return len(lines)


def _call_of(name: str, rest: str, body: str, raw: str, position: int, end: int) -> _Found:
    """The call of a block that names a tool."""
    arguments = _info_arguments(name, rest)
    if name in _BODIES:
        if name in ("write", "edit") and "path" not in arguments:
            body = _path_from_body(body, arguments)
        if body.strip() or "body" not in arguments:
            arguments["body"] = body
    elif body.strip():
        for key, value in _body_arguments(name, body).items():
            arguments.setdefault(key, value)
    return _Found(position, end, ToolCall(name, _renamed(name, arguments), raw))


def _info_arguments(name: str, rest: str) -> dict[str, str]:
    """The arguments in an info string: pairs, a JSON object, or one value without a name."""
    rest = rest.strip()
    if rest.startswith("{"):
        try:
            value = loads(rest)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return _strings(value)
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].replace(",", " ")
    pairs = _pairs(rest)
    before = rest[: _first_pair(rest)].strip()
    key = _POSITIONAL.get(name, "body" if name in _BODIES else "")
    if before and key and key not in pairs:
        pairs[key] = _unquoted(before)
    return pairs


def _first_pair(text: str) -> int:
    found = re.search(r"(?:^|\s)[A-Za-z_]\w*\s*=", text)
    return found.start() if found else len(text)


def _pairs(text: str) -> dict[str, str]:
    """The `key=value` pairs of `text`; a value without quotes reaches to the next key."""
    start = _first_pair(text)
    result: dict[str, str] = {}
    for found in _PAIR.finditer(text, start):
        result.setdefault(found["key"], _unquoted(found["value"].strip()))
    return result


def _unquoted(value: str) -> str:
    """A value without its quotes. Other backslashes stay: a pattern is full of them."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'`":
        quote = value[0]
        return value[1:-1].replace("\\" + quote, quote)
    return value


def _path_from_body(body: str, arguments: dict[str, str]) -> str:
    """Take the path out of the body's first line ("path: src/new.py"); returns the rest."""
    first, _, rest = body.partition("\n")
    label = _LABEL.match(first)
    if label and _ARGUMENT_ALIASES.get(label[1].lower(), label[1].lower()) == "path":
        arguments["path"] = _unquoted(label[2])
        return rest.removeprefix("---\n")
    return body


def _body_arguments(name: str, body: str) -> dict[str, str]:
    """Arguments that were written into the body of a tool that has none."""
    bare = body.strip()
    if bare.startswith("{"):
        try:
            value = loads(bare)
        except ValueError:
            return {}
        return _strings(value) if isinstance(value, dict) else {}
    lines = [line for line in bare.split("\n") if line.strip()]
    labels = [_LABEL.match(line) for line in lines]
    if all(labels):
        if len(lines) == 1 and "=" in lines[0]:
            return _pairs(lines[0])
        return {label[1]: _unquoted(label[2]) for label in labels if label}
    return {_POSITIONAL[name]: _unquoted(bare)} if len(lines) == 1 else {}


def _of_other_block(info: str, body: str, raw: str, tools: Sequence[str]) -> _Found:
    """A block that is named after no tool: JSON with a call in it, or a tool that there is not."""
    words = info.split()
    first = words[0].lower() if words else ""
    bare = body.strip()
    if first in ("", "json", "jsonc", "tool_call", "tool", "tool_code", "action", "xml"):
        if bare.startswith(("{", "[{")):
            return _of_json(bare, raw, tools, sure=first.startswith("tool"))
        if bare.startswith("<") and (inner := list(_tagged(bare, tools) or ())):
            return inner[0]
        if bare.startswith("<") and (inner := list(_functions(bare, tools))):
            return inner[0]
    if re.fullmatch(r"[a-z_]+", first) and re.match(r"\w+\s+(?:path|pattern|command)\s*=", info):
        return _Found(0, 0, None, _unknown(first, tools))
    return _Found(0, 0, None)


def _commands(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    """A ```bash block, where it is the only one of its kind in a reply without another call."""
    if "shell" not in tools:
        return
    lines = text.removesuffix("\n").split("\n")
    found: list[_Found] = []
    number = 0
    while number < len(lines):
        opening = mark(lines[number])
        if opening is None:
            number += 1
            continue
        close, end = _span(lines, number, opening, "", "", tools)
        body = dedented(lines[number + 1 : close], opening.indent)
        if opening.info.lower() in _SHELLS and body.strip():
            raw = "\n".join(lines[number:end])
            body = re.sub(r"^\$ ", "", body, flags=re.M)
            found.append(_Found(0, 0, ToolCall("shell", {"body": body}, raw)))
        number = max(end, number + 1)
    if len(found) == 1:
        yield found[0]


# Tags and JSON


def _tagged(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    for match in _TAGGED.finditer(text):
        inner = match.group(2).strip()
        if not inner.startswith(("{", "[")):
            continue  # <tool_call> around <function=…>
        one = _of_json(inner, match.group(), tools, sure=True)
        yield _Found(match.start(), match.end(), one.call, one.problem)


def _functions(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    for match in _FUNCTION.finditer(text):
        name = _canonical(match.group(1), tools)
        problem = "" if name in tools else _unknown(match.group(1), tools)
        pairs = {}
        for key, value in _PARAMETER.findall(match.group(2)):
            own_lines = value.startswith("\n")
            pairs[key] = value[1:].removesuffix("\n") if own_lines else value
        call = None if problem else ToolCall(name, _renamed(name, pairs), match.group())
        yield _Found(match.start(), match.end(), call, problem)


def _objects(text: str, tools: Sequence[str]) -> Iterator[_Found]:
    """JSON objects that start a line, outside of anything else."""
    for count, match in enumerate(re.finditer(r"^[ \t]*(\{)", text, re.M)):
        if count >= _MAX_OBJECTS:
            return
        start = match.start(1)
        end = object_end(text, start) or len(text)
        raw = text[start:end]
        one = _of_json(raw, raw, tools, sure=False)
        yield _Found(start, end, one.call, one.problem)


def _of_json(text: str, raw: str, tools: Sequence[str], sure: bool) -> _Found:
    """The call in a JSON text. `sure`: its surroundings say that it is meant as one."""
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
                "the tool call is no valid JSON, or was cut off; write it as a fenced block "
                "whose first line is the tool's name and its arguments"
            )
            return _Found(0, 0, None, problem)
        return _Found(0, 0, None)
    return _of_object(value, raw, tools, sure)


def _of_object(value: dict[str, Any], raw: str, tools: Sequence[str], sure: bool) -> _Found:
    """The call that a JSON object describes."""
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner  # OpenAI's form
    name_key = next((k for k in _NAME_KEYS if isinstance(value.get(k), str)), None)
    if name_key is None:
        # {"read": {"path": …}}
        (key, content), *more = [*value.items()] or [("", None)]
        name = _canonical(str(key), tools)
        if not more and name in tools and isinstance(content, dict):
            return _Found(0, 0, ToolCall(name, _renamed(name, _strings(content)), raw))
        return _Found(0, 0, None, _shape(tools) if sure else "")
    name = _canonical(value[name_key], tools)
    argument_key = next((k for k in _ARGUMENT_KEYS if k in value), None)
    arguments = value.get(argument_key) if argument_key else None
    if isinstance(arguments, str):
        arguments = _parsed_arguments(name, arguments)
    if argument_key is None:
        arguments = {k: v for k, v in value.items() if k != name_key and k not in ("id", "type")}
    if name not in tools:
        problem = _unknown(value[name_key], tools) if sure or argument_key else ""
        return _Found(0, 0, None, problem)
    if not isinstance(arguments, dict):
        arguments = {}
    renamed = _renamed(name, _strings(arguments))
    if argument_key is None and not sure and not (renamed and set(renamed) <= _ARGUMENTS):
        return _Found(0, 0, None)  # some object with a name, such as a package's description
    return _Found(0, 0, ToolCall(name, renamed, raw))


def _parsed_arguments(name: str, text: str) -> dict[str, Any]:
    """Arguments that are a string: JSON once more, or the one argument itself."""
    try:
        value = loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    key = "body" if name in ("shell", "done") else _POSITIONAL.get(name, "body")
    return {key: text}


def _strings(values: dict[Any, Any]) -> dict[str, str]:
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


def _renamed(name: str, arguments: dict[str, str]) -> dict[str, str]:
    """The arguments under the names that the tools know them by."""
    result: dict[str, str] = {}
    for key, value in arguments.items():
        plain = key.strip().lower()
        if name in _BODIES and plain in _BODY_ALIASES.get(name, ()):
            plain = "body"
        elif plain in _ARGUMENT_ALIASES:
            plain = _ARGUMENT_ALIASES[plain]
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


def _unknown(name: str, tools: Sequence[str]) -> str:
    return f"there is no tool {name[:40]!r}; the tools are: {', '.join(tools)}"


def _shape(tools: Sequence[str]) -> str:
    return (
        "the tool call names no tool; write a fenced block whose first line is the tool's name "
        f"and its arguments. The tools are: {', '.join(tools)}"
    )
