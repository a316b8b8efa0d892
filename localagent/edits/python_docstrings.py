"""Restore the docstrings and comments that a small model loses when it rewrites a Python file.

Small models leave out docstrings, also those of code that they do not change, and write their
thoughts as comments before and after the code. Docstrings and comments do not affect what the code
does, so the old ones can be kept.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Sequence

from localagent.core.errors import EditError
from localagent.edits.python_definitions import DefinitionNode, definitions, first_line

_PROSE = re.compile(
    r"\b(?:doc\s?strings?|comments?|document(?:s|ed|ation)?|docs|licen[cs]es?|copyright|spdx"
    r"|shebang)\b",
    re.I,
)


def speaks_of_prose(request: str) -> bool:
    """Whether a request mentions docstrings or comments; if so, the model's own must be kept."""
    return _PROSE.search(request) is not None


def with_prose_of(old: str, new: str) -> str:
    """`new` with the docstrings that only `old` has, and without new comments around its code.

    Returns `new` unchanged if `old` or `new` is not valid Python.
    """
    try:
        before, after = ast.parse(old), ast.parse(new)
        olds = {definition.name: definition.node for definition in definitions(old)}
        news = [(definition.name, definition.node) for definition in definitions(new)]
    except (EditError, SyntaxError, ValueError, RecursionError, MemoryError):
        return new
    old_lines = old.splitlines()
    lines = new.splitlines()
    result = lines[: _end(after)] + _without_new_comments(lines[_end(after) :], old_lines)
    for name, node in reversed(news):
        before_node = olds.get(name)
        if before_node is not None:
            result = _documented(result, node, _docstring(old_lines, before_node))
    result = _headed(result, after, old_lines, before)
    text = "\n".join(result).rstrip("\n") + "\n"
    return text if _same_code(text, after) else new


def _documented(lines: list[str], node: DefinitionNode, docstring: Sequence[str]) -> list[str]:
    """Insert `docstring` into the definition `node`, unless it has a docstring already."""
    first = node.body[0]
    at = first_line(first)
    indent = " " * first.col_offset
    header = max([node.lineno, *(d.end_lineno or 0 for d in node.decorator_list)])
    fits = docstring and docstring[0].startswith(indent) and docstring[0][len(indent) :][:1] != " "
    if not fits or at < header or _has_docstring(node):
        return lines
    above = lines[:at]
    while not above[-1].strip():
        del above[-1]
    return [*above, *docstring, *lines[at:]]


def _headed(
    lines: list[str], after: ast.Module, old_lines: Sequence[str], before: ast.Module
) -> list[str]:
    """Remove new comments before the code, and restore a missing module docstring.

    The head of the old file is restored with the docstring.
    """
    start = _start(after)
    head = _without_new_comments(lines[:start], old_lines)
    if not _has_docstring(before) or _has_docstring(after) or not after.body:
        return [*head, *lines[start:]]
    old_head = old_lines[: _past_blank(old_lines, before.body[0].end_lineno or 1)]
    return [*old_head, *_after(head, old_head), *lines[start:]]


def _after(head: Sequence[str], old_head: Sequence[str]) -> Iterator[str]:
    """The lines of `head` that are neither blank nor in `old_head`."""
    return (line for line in head if line.strip() and line not in old_head)


def _without_new_comments(lines: Sequence[str], old_lines: Sequence[str]) -> list[str]:
    """Remove comments that the old file does not have, and then the blank lines at the start."""
    had = {line.strip() for line in old_lines}
    result = [line for line in lines if not line.lstrip().startswith("#") or line.strip() in had]
    if len(result) == len(lines):
        return result
    while result and not result[0].strip():
        del result[0]
    return result


def _docstring(lines: Sequence[str], node: DefinitionNode) -> Sequence[str]:
    """The lines of a definition's docstring, and the blank lines after it.

    Empty if there is no docstring, or if the docstring shares a line with code.
    """
    if not _has_docstring(node):
        return ()
    first = node.body[0]
    docstring = lines[first.lineno - 1 : _past_blank(lines, first.end_lineno or first.lineno)]
    alone = first.lineno > node.lineno and not docstring[0][: first.col_offset].strip()
    return docstring if alone else ()


def _past_blank(lines: Sequence[str], index: int) -> int:
    """The index of the first line at or after `index` that is not blank."""
    while index < len(lines) and not lines[index].strip():
        index += 1
    return index


def _has_docstring(node: DefinitionNode | ast.Module) -> bool:
    return bool(node.body) and ast.get_docstring(node, clean=False) is not None


def _start(tree: ast.Module) -> int:
    return first_line(tree.body[0]) if tree.body else 0


def _end(tree: ast.Module) -> int:
    return (tree.body[-1].end_lineno or 0) if tree.body else 0


def _same_code(text: str, tree: ast.Module) -> bool:
    """Whether the code in `text` equals `tree` except for docstrings."""
    try:
        other = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return _bare(other) == _bare(tree)


def _bare(tree: ast.Module) -> str:
    """A dump of the tree without docstrings, for comparison."""

    class Without(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            super().generic_visit(node)
            if isinstance(node, DefinitionNode | ast.Module) and _has_docstring(node):
                node.body = node.body[1:]
            return node

    return ast.dump(Without().visit(copy.deepcopy(tree)))
