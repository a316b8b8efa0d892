"""A line of Python with the places of its nodes, and what to write in the place of some.

What is around a change stays as it was written.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """What to write in the place of the line's bytes from `start` to `end`; lower ranks are tried
    first."""

    rank: int
    start: int
    end: int
    new: str


class Line:
    """A line of a text, the columns of whose nodes are those of its bytes."""

    def __init__(
        self, text: str, function: Function | None, number: int, *, lookup_fails: bool
    ) -> None:
        self.bytes = text.encode()
        self.variables = _variables(function, number)
        self.recursive = _recursive(function, at_all=lookup_fails)
        self.lookup_fails = lookup_fails

    def of(self, node: ast.expr | ast.stmt) -> str:
        """A node as it is written."""
        return self.bytes[node.col_offset : node.end_col_offset].decode()

    def instead(self, rank: int, node: ast.expr | ast.stmt, new: str) -> Mutant:
        """`new` in the place of a node."""
        assert node.end_col_offset is not None
        return Mutant(rank, node.col_offset, node.end_col_offset, new)

    def swap(self, rank: int, first: ast.expr, second: ast.expr) -> Mutant:
        """Two nodes in each other's place."""
        assert first.end_col_offset is not None
        assert second.end_col_offset is not None
        between = self.bytes[first.end_col_offset : second.col_offset].decode()
        new = self.of(second) + between + self.of(first)
        return Mutant(rank, first.col_offset, second.end_col_offset, new)


def parsed(text: str) -> ast.Module | None:
    """The tree of a text; None where it is no Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are not this module's business
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def lines_of(node: ast.AST) -> tuple[int, int]:
    """The first and the last line of a node; zeros for one without a place."""
    return getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)


def function_around(tree: ast.Module, line: int) -> Function | None:
    """The innermost function around the line."""
    functions = [
        n
        for n in ast.walk(tree)
        if isinstance(n, Function) and n.lineno < line <= (n.end_lineno or n.lineno)
    ]
    return max(functions, key=lambda f: f.lineno, default=None)


def _recursive(function: Function | None, *, at_all: bool) -> str:
    """The function's name where it takes one argument and calls itself, or where it might `at_all`;
    else ""."""
    if function is None or len(function.args.args) != 1 or function.args.args[0].arg == "self":
        return ""
    calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call)]
    names = [f.id for f in calls if isinstance(f, ast.Name)]
    return function.name if at_all or function.name in names else ""


def _variables(function: Function | None, line: int) -> list[str]:
    """The parameters and variables of a function, the nearest to the line first."""
    if function is None:
        return []
    distances: dict[str, int] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        else:
            continue
        if name not in ("self", "cls", "_"):
            far = abs(node.lineno - line)
            distances[name] = min(far, distances.get(name, far))
    return sorted(distances, key=lambda name: (distances[name], name))
