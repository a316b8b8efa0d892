"""Finds definitions, calls and imports of a file by its language's queries (`queries/*.scm`).

A query captures a definition as `@def.KIND` and the definition's name as `@name`. `@owner` captures
a method's type, if the type's name is not around the method. The signature ends before `@body`, by
default the field "body". A query captures uses, too: `@call` is a name that is called or
constructed, `@import` is a module, and `@from` with `@item` is a module and a name from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localagent.code.parser import Match, code_in, matches, parse

if TYPE_CHECKING:
    from tree_sitter import Node

LONGEST = 120
"""Most characters of a summary."""

_HIGHEST = 30  # lines above a definition that may be the definition's comment
_MARKS = re.compile(r"^\s*(?:///?!?|/\*+!?|\*+/?|#+!?|--+\|?|;+)\s?|\s*\*+/\s*$")
_COMMENT = re.compile(r"^\s*(?://|/\*|\*|#(?!\[|include|define|if|endif|pragma)|--)")
_BESIDE = re.compile(r"^\s*(?:@|#\[|\[|template\b|pub\b$|export\b$)")
_DOCSTRING = re.compile(r"""^[rRuUbB]{0,2}(?:\"\"\"|'''|"|')""")


def summary(language: str, lines: Sequence[bytes], line: int, body: Node | None) -> str:
    """The first line of the docstring or comment of the definition on `line` (from 1), or ""."""
    if language == "python":
        return _clipped(_docstring(body)) if body is not None else ""
    return _clipped(_comment_above(lines, line - 1))


def _docstring(body: Node) -> str:
    first = body.child(0)
    if first is None or first.type not in ("expression_statement", "string"):
        return ""
    text = (first.text or b"")[:1000].decode("utf-8", "replace")
    match = _DOCSTRING.match(text)
    if match is None:
        return ""
    rest = text[match.end() :].lstrip().split("\n", 1)[0]
    return rest.strip().removesuffix('"""').removesuffix("'''").strip("\"'")


def _comment_above(lines: Sequence[bytes], index: int) -> str:
    """The first line with words of the comment above line `index` (from 0), or ""."""
    found: list[str] = []
    for place in range(index - 1, max(-1, index - _HIGHEST), -1):
        text = lines[place][:400].decode("utf-8", "replace")
        if _COMMENT.match(text):
            found.append(text)
        elif found or not _BESIDE.match(text):
            break
    for text in reversed(found):
        bare = _MARKS.sub("", _MARKS.sub("", text)).strip()
        if re.search(r"\w", bare) and not text.startswith("#!"):
            return bare
    return ""


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"


CALLABLE = frozenset({"function", "method", "macro"})
"""Kinds of definitions that contain statements instead of other definitions."""

_MAX_SIGNATURE = 160
_MAX_NAME = 120
_NAME = re.compile(r"[^\W\d]\w*[?!=]?|~\w+|operator\W+")


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition in lines `line` to `end_line` (from 1, inclusive). `name` is qualified with the
    enclosing definitions ("Stack.push"). `summary` is the first line of the docstring or comment,
    or ""."""

    name: str
    kind: str
    line: int
    end_line: int
    signature: str
    summary: str


@dataclass(frozen=True, slots=True)
class Use:
    """A use of a name in a line (from 1)."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Structure:
    """Definitions and uses in a file, each in the order of lines."""

    definitions: tuple[Definition, ...]
    calls: tuple[Use, ...]
    imports: tuple[Use, ...]


@dataclass(slots=True)
class _DefinitionNode:
    node: Node
    name: Node
    kind: str
    owner: str
    body: Node | None


def structure(language: str, data: bytes) -> Structure:
    """Find the definitions and uses in a file, whose language must have queries."""
    data = code_in(language, data)
    found: dict[tuple[int, int], _DefinitionNode] = {}
    calls: set[tuple[int, int, str]] = set()
    imports: dict[tuple[str, int], None] = {}
    for match in matches(language, parse(language, data).root_node):
        if "name" in match:
            one = _definition(match)
            found.setdefault((one.name.start_byte, one.name.end_byte), one)
        elif "call" in match:
            node = match["call"][0]
            calls.add((node.start_byte, node.start_point.row + 1, _text(node)))
        for module in _imported(match):
            imports[module] = None
    names = {one.name.start_byte for one in found.values()}  # Elixir: "def add(x)" is a call
    calls = {call for call in calls if call[0] not in names}
    lines = data.split(b"\n")
    definitions = tuple(_nested(language, sorted(found.values(), key=_place), data, lines))
    return Structure(
        definitions,
        tuple(Use(name, line) for _, line, name in sorted(calls) if len(name) <= _MAX_NAME),
        tuple(Use(name, line) for name, line in sorted(imports, key=lambda i: (i[1], i[0]))),
    )


def _definition(match: Match) -> _DefinitionNode:
    kind, node = next((k[4:], v[0]) for k, v in match.items() if k.startswith("def."))
    owner = _bare(_text(match["owner"][0])) if "owner" in match else ""
    body = match["body"][0] if match.get("body") else None
    return _DefinitionNode(node, match["name"][0], kind, owner, body)


def _place(one: _DefinitionNode) -> tuple[int, int, int]:
    return one.node.start_byte, -one.node.end_byte, one.name.start_byte


def _nested(
    language: str, found: Sequence[_DefinitionNode], data: bytes, lines: Sequence[bytes]
) -> Iterator[Definition]:
    """Qualify the names of definitions; definitions inside a function are left out."""
    enclosing: list[tuple[int, str, str]] = []  # enclosing definitions: end, qualified name, kind
    for one in found:
        while enclosing and enclosing[-1][0] <= one.node.start_byte:
            enclosing.pop()
        if enclosing and enclosing[-1][2] in CALLABLE:
            continue
        own_name = _qualified(_text(one.name))
        if not own_name or len(own_name) > _MAX_NAME:
            continue
        owner = one.owner or (enclosing[-1][1] if enclosing else "")
        name = f"{owner}.{own_name}" if owner else own_name
        kind = one.kind
        in_type = one.owner or "." in own_name or (enclosing and enclosing[-1][2] != "module")
        if kind == "function" and in_type:
            kind = "method"
        enclosing.append((one.node.end_byte, name, kind))
        line = one.node.start_point.row + 1
        last = _last_code(one.node).end_point
        end = last.row + 1 if last.column or last.row < line else last.row
        yield Definition(
            name,
            kind,
            line,
            max(line, end),
            _signature(one, data, lines),
            summary(language, lines, line, _body(one)),
        )


def _last_code(node: Node) -> Node:
    """The last node of a definition, without the comments that Python's trees append to it."""
    while True:
        place = node.child_count - 1
        while place >= 0 and (last := node.child(place)) is not None and last.type == "comment":
            place -= 1
        inner = node.child(place) if place >= 0 else None
        if inner is None:
            return node
        node = inner


def _signature(one: _DefinitionNode, data: bytes, lines: Sequence[bytes]) -> str:
    """The text of a definition before its body, as one line."""
    row = one.node.start_point.row
    start = one.node.start_byte - one.node.start_point.column
    body = _body(one)
    end = body.start_byte if body is not None else start + len(lines[row])
    if body is None and end < one.name.end_byte:  # attributes are on lines before the name
        end = one.name.end_byte
    clipped = data[start : min(end, start + 4 * _MAX_SIGNATURE)]
    text = " ".join(clipped.decode("utf-8", "replace").split())
    text = text.rstrip("{=").rstrip().removesuffix(":").removesuffix(" do")
    return text if len(text) <= _MAX_SIGNATURE else text[:_MAX_SIGNATURE] + "…"


def _body(one: _DefinitionNode) -> Node | None:
    if one.body is not None:
        return one.body
    named = one.node.child_by_field_name("body")
    if named is not None:
        return named
    last = one.node.child(one.node.child_count - 1) if one.node.child_count else None
    return last if last is not None and last.type.endswith(("_body", "block", "_list")) else None


def _imported(match: Match) -> Iterator[tuple[str, int]]:
    """The modules that a match names, without quotes."""
    if "import" in match:
        node = match["import"][0]
        text = " ".join(_text(node).split()).removeprefix("import ").strip("\"'<>`;")
        if text:
            yield text[: 2 * _MAX_NAME], node.start_point.row + 1
    elif "from" in match:
        node = match["from"][0]
        text = _text(node)
        line = node.start_point.row + 1
        if "item" in match:
            between = "" if text.endswith(".") else "."
            yield f"{text}{between}{_text(match['item'][0])}", line
        else:
            yield text, line


def _qualified(text: str) -> str:
    """A qualified name in a file, with its parts joined by dots."""
    text = " ".join(text.split())
    if any(mark in text for mark in "({[,") or text.startswith((".", "#", ":")):
        return text.strip("\"'[]") if len(text) < 60 else ""
    parts = [_bare(part) for part in re.split(r"::|\.|->|(?<=\w):(?=\w)", text)]
    return ".".join(part for part in parts if part)


def _bare(text: str) -> str:
    """The name of a type or function without `*`, `&` or brackets."""
    match = _NAME.search(re.sub(r"[<\[(].*", "", text.replace("&mut", "").replace("dyn ", "")))
    return match.group() if match else ""


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
