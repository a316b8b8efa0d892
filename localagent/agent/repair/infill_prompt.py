"""The prompt of an infill: the function around the place, and the little that it needs.

A small file is shown whole. Of a larger one, the prompt has the signatures of the functions that
the function calls, the head of its class, and its lines. What all places of a function share comes
first, so that the model reads it once. No prompt has a license header.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from localagent.agent.limits import SEARCH
from localagent.agent.repair.function_text import docstring_lines, enclosing
from localagent.agent.repair.parsed_text import Function, parse
from localagent.models.base import Infill


def infill_prompt(
    lines: Sequence[str], first: int, after: int, comments: Sequence[str] = ()
) -> Infill:
    """The text before line `first`, and the text from line `after` on; lines count from 1.

    `lines` include their line ends. The `comments` stand above the function, a line each.
    """
    tree = parse("".join(lines))
    function, owner = enclosing(tree, min(first, len(lines))) if tree is not None else (None, None)
    begin = _begin(lines)
    small = len(lines) - begin <= SEARCH.infill_file
    if tree is None or function is None:
        start = begin if small else max(begin, first - 1 - SEARCH.infill_before)
        comment = _comment(comments)
        return Infill(comment + "".join(lines[start : first - 1]), _after(lines, after, len(lines)))
    comment = _comment(comments, " " * function.col_offset)
    top = min([function.lineno, *(d.lineno for d in function.decorator_list)]) - 1
    if small:
        before = [*lines[begin:top], comment, *lines[top : first - 1]]
        return Infill("".join(before), _after(lines, after, len(lines)))
    head = "".join(_head(lines, tree, function, owner))
    docstring = docstring_lines(function)
    hidden = docstring.stop - 1 if len(docstring) > SEARCH.infill_docstring else 0
    body = _window(lines, max(hidden, function.body[0].lineno - 1), first - 1)
    signature = lines[top : min(function.body[0].lineno - 1, first - 1)]
    prefix = head + comment + "".join(signature) + "".join(body)
    return Infill(prefix, _after(lines, after, function.end_lineno or len(lines)))


def _comment(comments: Sequence[str], indent: str = "") -> str:
    return "".join(f"{indent}# {line}\n" for line in comments)


def _begin(lines: Sequence[str]) -> int:
    """The index of the first line after a license header or other comments."""
    return next((n for n, line in enumerate(lines) if line.strip() and line[0] != "#"), 0)


def _after(lines: Sequence[str], after: int, end: int) -> str:
    """The lines from `after` to line `end`, at least three and at most `infill_after` lines."""
    return "".join(lines[after - 1 : min(after - 1 + SEARCH.infill_after, max(end, after + 2))])


def _window(lines: Sequence[str], start: int, end: int) -> Sequence[str]:
    """The last lines of a body before its line at `end`.

    The window moves in steps, so that neighboring places share its begin.
    """
    step = SEARCH.infill_before // 2
    over = max(0, end - start - SEARCH.infill_before)
    return lines[start + -(-over // step) * step : end]


def _head(
    lines: Sequence[str], tree: ast.Module, function: Function, owner: ast.ClassDef | None
) -> Iterator[str]:
    """The signatures of the functions that a function calls, and the head of its class."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
    names.discard(function.name)
    known = [node for node in tree.body if isinstance(node, Function) and node.name in names]
    for node in known[: SEARCH.infill_calls]:
        yield f"{_signature(lines, node)} ...\n"
    if owner is None:
        return
    yield lines[owner.lineno - 1]
    methods = [node for node in owner.body if isinstance(node, Function) and node.name in names]
    for node in methods[: SEARCH.infill_calls]:
        yield f"{' ' * node.col_offset}{_signature(lines, node)} ...\n"


def _signature(lines: Sequence[str], node: Function) -> str:
    """A function's signature in one line."""
    parts = lines[node.lineno - 1 : max(node.lineno, node.body[0].lineno - 1)]
    text = " ".join(part.strip() for part in parts)
    return text if text.endswith(":") else text[: text.rfind(":") + 1]
