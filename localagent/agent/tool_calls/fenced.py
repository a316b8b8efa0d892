"""Reads tool calls in fenced code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from localagent.agent.tool_calls.aliases import (
    ARGUMENT_ALIASES,
    CallMatch,
    canonical,
    strings,
    tool_call,
    unknown,
)
from localagent.agent.tool_calls.json_and_tags import loads, object_end, of_json, tagged
from localagent.agent.tool_calls.tags import tags
from localagent.code.file_kinds import is_docs
from localagent.code.languages import language_of
from localagent.code.syntax_check import syntax_error
from localagent.core.messages import ToolCall
from localagent.edits.reply_blocks import FenceLine, closings, dedented, fence_line, fences
from localagent.tools.base import ToolSpec, ToolSpecs

_PAIR = re.compile(
    r"""(?P<key>[A-Za-z_]\w*)\s*=\s*
        (?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|.*?(?=\s+[A-Za-z_]\w*\s*=|$))\s*""",
    re.VERBOSE | re.DOTALL,
)
_LABEL = re.compile(r"^\s*([A-Za-z_]\w*)\s*[:=]\s*(.*?)\s*$")


def info_arguments(spec: ToolSpec, rest: str) -> dict[str, str]:
    """The arguments in an info string: pairs, a JSON object, or one value without a name."""
    rest = rest.strip()
    if rest.startswith("{"):
        try:
            value = loads(rest)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return strings(value)
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].replace(",", " ")
    pairs = pairs_of(rest)
    before = rest[: _first_pair(rest)].strip()
    key = spec.positional
    if before and key and key not in pairs and not before.startswith("-"):
        pairs[key] = unquoted(before)
    return pairs


def _first_pair(text: str) -> int:
    found = re.search(r"(?:^|\s)[A-Za-z_]\w*\s*=", text)
    return found.start() if found else len(text)


def pairs_of(text: str) -> dict[str, str]:
    """The `key=value` pairs of `text`; an unquoted value ends at the next key."""
    start = _first_pair(text)
    result: dict[str, str] = {}
    for found in _PAIR.finditer(text, start):
        result.setdefault(found["key"], unquoted(found["value"].strip()))
    return result


def unquoted(value: str) -> str:
    """A value without its quotes. A backslash stays, except before a quote: patterns have many."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'`":
        quote = value[0]
        return value[1:-1].replace("\\" + quote, quote)
    return value


def path_from_body(body: str, arguments: dict[str, str]) -> str:
    """Move the path from the body's first line ("path: a.py") to the arguments; return the rest."""
    first, _, rest = body.partition("\n")
    label = _LABEL.match(first)
    if label and ARGUMENT_ALIASES.get(label[1].lower(), label[1].lower()) == "path":
        arguments["path"] = unquoted(label[2])
        return rest.removeprefix("---\n")
    return body


def body_arguments(spec: ToolSpec, body: str) -> dict[str, str]:
    """The arguments in the body of a block, for a tool that takes no body."""
    bare = body.strip()
    if bare.startswith("{"):
        try:
            value = loads(bare)
        except ValueError:
            return {}
        return strings(value) if isinstance(value, dict) else {}
    lines = [line for line in bare.split("\n") if line.strip()]
    labels = [_LABEL.match(line) for line in lines]
    if all(labels):
        if len(lines) == 1 and "=" in lines[0]:
            return pairs_of(lines[0])
        return {label[1]: unquoted(label[2]) for label in labels if label}
    return {spec.positional: unquoted(bare)} if len(lines) == 1 else {}


# In CommonMark an info string has no backticks; here a quoted argument may have them.
_QUOTING = re.compile(
    r'^([ \t]*)(`{3,})[ \t]*(\w+(?:[ \t]+\w+=(?:"(?:[^"\\]|\\.)*"|[^\s`"]+))+)[ \t]*$'
)


def fenced(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Calls in fenced blocks. Any other block gives an empty match, which no other reader takes."""
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
        name, rest = head_of(opening.info, tools)
        is_call = name in tools
        if inline:
            close, end = number + 1, number + 1
        else:
            close, end = _span(lines, number, opening, tools.get(name), rest, tools)
        body = dedented(lines[number + 1 : close], opening.indent)
        raw = "\n".join(lines[number:end])
        position, after = offsets[number], min(offsets[end], len(text))
        if is_call:
            yield _call_of(tools[name], rest, body, raw, position, after)
        else:
            if body.lstrip().startswith("{") and not inline:
                # A string in the JSON object may contain a fence.
                start = text.index("{", offsets[number + 1])
                after = max(after, object_end(text, start) or after)
                if after > offsets[end]:
                    body = raw = text[start:after]
                    end = text.count("\n", 0, after) + 1
            one = _of_other_block(opening.info, body, raw, tools)
            yield CallMatch(position, after, one.call, one.problem)
        number = max(end, number + 1)


def _opening(line: str) -> tuple[FenceLine | None, bool]:
    """The line that opens a block, and whether the block ends in the same line."""
    found = fence_line(line)
    if found is not None:
        return found, False
    inline = re.match(r"^([ \t]*)(`{3,})[ \t]*([^`\n]+?)[ \t]*`{3,}[ \t]*$", line)
    if inline and ("=" in inline.group(3) or " " in inline.group(3)):
        return FenceLine(inline.group(1), inline.group(2), inline.group(3)), True
    if quoting := _QUOTING.match(line):
        return FenceLine(quoting[1], quoting[2], quoting[3]), False
    return None, False


def head_of(info: str, tools: ToolSpecs) -> tuple[str, str]:
    """The tool (or first word) of an info string, and the text after it."""
    bare = re.sub(r"^(?:tool(?:_call)?|action|call)\s*[: ]\s*(?=\w)", "", info.strip(), flags=re.I)
    found = re.match(r"[\w.-]+", bare)
    if found is None:
        return "", info
    name = canonical(found.group(), tools)
    return name, bare[found.end() :].lstrip(": \t")


def _span(
    lines: Sequence[str],
    start: int,
    opening: FenceLine,
    spec: ToolSpec | None,
    rest: str,
    tools: ToolSpecs,
) -> tuple[int, int]:
    """The end of a block's body, and the line after the block."""
    stop = _next_call(lines, start, opening, tools) if spec else len(lines)
    ends = closings(lines, start, opening, stop, first=spec is None)
    if not ends:
        return stop, stop
    first = ends[0]
    body = spec.body if spec else ""
    if body == "blocks":
        first = next((end for end in sorted(ends) if _whole_blocks(lines[start:end])), first)
    path = pairs_of(rest).get("path", rest.split(" ")[0] if rest else "")
    if body == "file" and len(ends) > 1:
        if is_docs(path):
            first = max(ends)  # a Markdown file as the body may contain fences
        elif language_of(path).name == "python":
            bodies = ((end, "\n".join(lines[start + 1 : end]) + "\n") for end in sorted(ends))
            good = (end for end, body in bodies if syntax_error("body.py", body) is None)
            first = next(good, first)
    return first, first + 1


def _whole_blocks(lines: Sequence[str]) -> bool:
    """Whether each SEARCH mark in `lines` has its REPLACE mark."""
    opened = sum(line.lstrip().startswith("<<<<<") for line in lines)
    return opened == sum(line.lstrip().startswith(">>>>>") for line in lines)


def _next_call(lines: Sequence[str], start: int, opening: FenceLine, tools: ToolSpecs) -> int:
    """The line of the next call after or inside this block, or the end of the reply."""
    depth = 1
    for number in range(start + 1, len(lines)):
        found = fence_line(lines[number])
        if found is None or found.marks[0] != opening.marks[0]:
            continue
        if opening.closed_by(found):
            depth = depth - 1 if depth else 1
        elif opening.holds(found):
            name, rest = head_of(found.info, tools)
            if name in tools and found.indent == opening.indent and (not depth or "=" in rest):
                return number
            depth += 1
    return len(lines)


def _call_of(spec: ToolSpec, rest: str, body: str, raw: str, position: int, end: int) -> CallMatch:
    """The call of a block that names a tool."""
    arguments = info_arguments(spec, rest)
    if spec.body or spec.arguments is None:  # a plug-in may take any text as its body
        if spec.body in ("file", "blocks") and "path" not in arguments:
            body = path_from_body(body, arguments)
        if body.strip() or "body" not in arguments:
            arguments["body"] = body
    elif body.strip():
        for key, value in body_arguments(spec, body).items():
            arguments.setdefault(key, value)
    return CallMatch(position, end, tool_call(spec, arguments, raw))


def _of_other_block(info: str, body: str, raw: str, tools: ToolSpecs) -> CallMatch:
    """The match of a block that names no known tool: a call in JSON, or an unknown tool."""
    words = info.split()
    first = words[0].lower() if words else ""
    bare = body.strip()
    if first in ("", "json", "jsonc", "tool_call", "tool", "tool_code", "action", "xml"):
        if bare.startswith(("{", "[{")):
            return of_json(bare, raw, tools, sure=first.startswith("tool"))
        if bare.startswith("<") and (inner := list(tagged(bare, tools) or ())):
            return inner[0]
        if bare.startswith("<") and (inner := list(tags(bare, tools))):
            return inner[0]
    if re.fullmatch(r"[a-z_]+", first) and re.match(r"\w+\s+(?:path|pattern|command)\s*=", info):
        return CallMatch(0, 0, None, unknown(first, tools))
    return CallMatch(0, 0, None)


def commands(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """The call of a ```bash block, if the reply has no other such block and no other call."""
    for spec in (spec for spec in tools.values() if spec.fences):
        blocks = [b for b in fences(text) if b.info.lower() in spec.fences and b.body.strip()]
        if len(blocks) == 1:
            body = re.sub(r"^\$ ", "", blocks[0].body, flags=re.M)
            yield CallMatch(0, 0, ToolCall(spec.name, {"body": body}, blocks[0].body))
