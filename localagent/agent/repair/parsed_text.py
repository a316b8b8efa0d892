"""A Python text with its syntax tree: the nodes, functions and names around each line."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

Function = ast.FunctionDef | ast.AsyncFunctionDef


_Places = tuple[int, str | None, tuple[str, str], tuple[str, str]]


def parse(text: str) -> ast.Module | None:
    """The syntax tree of a text, or None if the text is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no warnings about the project's escapes
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


Part = Literal["test", "handler", "iterable", "value"]
"""A condition, a handler's exception, what a loop goes over, or a value that something takes."""


def _parts(node: ast.AST) -> Iterator[tuple[Part, ast.expr]]:
    match node:
        case ast.Call():
            yield from (("value", value) for value in node.args)
        case ast.keyword() | ast.Return(value=ast.expr()) | ast.Assign() | ast.AugAssign():
            assert node.value is not None
            yield "value", node.value
        case ast.Dict():
            yield from (("value", value) for value in node.values)
        case ast.List() | ast.Tuple() | ast.Set():
            yield from (("value", value) for value in node.elts)
        case ast.BinOp():
            yield from (("value", value) for value in (node.left, node.right))
        case ast.Subscript():
            yield "value", node.slice
        case ast.If() | ast.While() | ast.IfExp() | ast.Assert():
            yield "test", node.test
        case ast.ExceptHandler(type=ast.expr()):
            assert node.type is not None
            yield "handler", node.type
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            yield "iterable", node.iter


class ParsedText:
    """A text with its syntax tree (None if the text is not valid Python), nodes and functions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        # splitlines and the parser count lines differently at a form feed
        self.tree = parse(text) if "\f" not in text else None
        self._nodes: dict[tuple[int, int], list[ast.AST]] = {}
        self.functions: list[Function] = []
        self._classes: list[ast.ClassDef] = []
        self._attributes: dict[int, list[str]] = {}
        self._loops: list[ast.For | ast.AsyncFor | ast.While] = []
        self._statements: dict[int, ast.stmt] = {}
        self._places: _Places | None = None
        self._parts: dict[tuple[int, int], list[tuple[Part, ast.expr]]] = {}
        for node in ast.walk(self.tree) if self.tree is not None else ():
            self._nodes.setdefault(lines_of(node), []).append(node)
            if isinstance(node, Function):
                self.functions.append(node)
            elif isinstance(node, ast.ClassDef):
                self._classes.append(node)
            elif isinstance(node, ast.For | ast.AsyncFor | ast.While):
                self._loops.append(node)
            if isinstance(node, ast.stmt):
                self._statements.setdefault(node.lineno, node)
            for part, expression in _parts(node):
                self._parts.setdefault(lines_of(expression), []).append((part, expression))

    def nodes(self, line: int) -> list[ast.AST]:
        """The nodes that lie on the line and nowhere else."""
        return self._nodes.get((line, line), [])

    def statement(self, line: int) -> ast.stmt | None:
        """The outermost statement that begins on the line, if it begins there alone."""
        statement = self._statements.get(line)
        if statement is None or self.lines[line - 1].encode()[: statement.col_offset].strip():
            return None
        return statement

    def function(self, line: int) -> Function | None:
        """The innermost function with the line in its body, or None."""
        inside = [f for f in self.functions if f.lineno < line <= (f.end_lineno or f.lineno)]
        return max(inside, key=lambda f: f.lineno, default=None)

    def parts(self, line: int) -> list[tuple[Part, ast.expr]]:
        """The parts of compound statements that lie on the line and nowhere else."""
        return self._parts.get((line, line), [])

    def callables(self, line: int) -> list[str]:
        """How the line may call the file's functions: `name`, or `self.name` in their class."""
        inside = [c for c in self._classes if c.lineno <= line <= (c.end_lineno or c.lineno)]
        around = max(inside, key=lambda c: c.lineno, default=None)
        methods = around.body if around is not None else []
        names = [f"self.{node.name}" for node in methods if isinstance(node, Function)]
        names = [name for name in names if not name.startswith("self.__")]
        return [*names, *(f.name for f in self.functions if f.col_offset == 0)]

    def in_loop(self, line: int) -> bool:
        """Whether the line is in the body of a loop of its function."""
        function = self.function(line)
        first = function.lineno if function is not None else 0
        return any(
            first < loop.lineno < line <= (loop.body[-1].end_lineno or 0) for loop in self._loops
        )

    def attributes(self, line: int) -> list[str]:
        """The attributes of `self` that the innermost class around the line uses."""
        inside = [c for c in self._classes if c.lineno <= line <= (c.end_lineno or c.lineno)]
        around = max(inside, key=lambda c: c.lineno, default=None)
        if around is None:
            return []
        if around.lineno not in self._attributes:
            nodes = (node for node in ast.walk(around) if isinstance(node, ast.Attribute))
            owners = ((node.attr, node.value) for node in nodes)
            self._attributes[around.lineno] = sorted(
                {
                    name
                    for name, owner in owners
                    if isinstance(owner, ast.Name) and owner.id == "self"
                }
            )
        return self._attributes[around.lineno]

    def with_line(self, number: int, new: str) -> str:
        """The text with another line `number`, or "" if it is then no valid Python."""
        if self._places is None or self._places[0] != number:
            self._places = (number, *self._split(number))
        _, indent, (start, end), (before, after) = self._places
        old = self.lines[number - 1]
        is_whole = indent is not None and new.startswith(indent) and not new[len(indent)].isspace()
        code = (
            new[len(indent or "") :].replace(f"\n{indent}", "\n") if is_whole else start + new + end
        )
        if new == old or parse(code) is None:
            return ""
        return before + new + after

    def _split(self, number: int) -> tuple[str | None, tuple[str, str], tuple[str, str]]:
        """The indentation of a line that is a whole statement, else None; then the code of its
        function before and after the line, and that of the file.
        """
        function = self.function(number)
        first, last = 1, len(self.lines)
        if function is not None and function.end_lineno is not None:
            first, last = function.lineno, function.end_lineno
        head = "if 1:\n" if self.lines[first - 1][:1].isspace() else ""
        inside = "".join(self.lines[first - 1 : number - 1]), "".join(self.lines[number:last])
        around = "".join(self.lines[: number - 1]), "".join(self.lines[number:])
        statement = self.statement(number)
        is_simple = statement is not None and not hasattr(statement, "body")
        indent = None
        if statement is not None and is_simple and statement.end_lineno == number:
            indent = self.lines[number - 1][: statement.col_offset]
        return indent, (head + inside[0], inside[1]), around


@lru_cache(maxsize=4)
def parsed_text(text: str) -> ParsedText:
    """The parsed text; a search asks for all lines of a text, one after another."""
    return ParsedText(text)


def lines_of(node: ast.AST) -> tuple[int, int]:
    """The first and the last line of a node; zeros for a node without a position."""
    return getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
