"""Seeded faults: one small wrong change of a function, by operators that the search lacks.

The search repairs by changing one operator, constant, index or name. These operators lose code
instead: a statement, a guard, a condition, an argument, a call, an exception type. Others take a
distant attribute or number, or change the order of statements.
"""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """A change of the lines `first` to `last` (from 1, inclusive) to `text`."""

    operator: str
    first: int
    last: int
    text: str


def faults_in(source: str, first: int, last: int, name: str) -> list[Fault]:
    """The possible faults of the function on the given lines, in an order that `name` seeds.

    Operators take turns, so that a frequent operator does not crowd out the others.
    """
    data = source.encode()
    tree = ast.parse(source)
    dumped = ast.dump(tree)
    by_operator: dict[str, list[Fault]] = {}
    for operator, start, end, new in _changes(tree, data, first, last):
        fault = _fault(operator, data, dumped, start, end, new)
        if fault is not None:
            by_operator.setdefault(operator, []).append(fault)
    chance = random.Random(name)
    groups = [chance.sample(group, len(group)) for _, group in sorted(by_operator.items())]
    chance.shuffle(groups)
    longest = max(map(len, groups), default=0)
    return [group[n] for n in range(longest) for group in groups if n < len(group)]


def _fault(
    operator: str, data: bytes, dumped: str, start: int, end: int, new: bytes
) -> Fault | None:
    """The fault as a change of whole lines; None if the result does not parse or is the same.

    `dumped` is the tree of `data` as text.
    """
    changed = data[:start] + new + data[end:]
    try:
        same = ast.dump(ast.parse(changed)) == dumped
    except (SyntaxError, ValueError):
        return None
    if same:
        return None
    first = data.rfind(b"\n", 0, start) + 1
    last = data.find(b"\n", end)
    last = len(data) if last < 0 else last + 1
    text = (data[first:start] + new + data[end:last]).decode()
    line = data.count(b"\n", 0, first) + 1
    return Fault(operator, line, line + data.count(b"\n", first, max(first, last - 1)), text)


_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)

Change = tuple[str, int, int, bytes]
"""An operator, the bytes to replace (start, end), and the new bytes."""


class _Source:
    """A parsed file, with the bytes of its nodes."""

    def __init__(self, data: bytes, tree: ast.Module) -> None:
        self.data = data
        self._starts = [0]
        for line in data.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
        self.attributes = sorted({node.attr for node in nodes})

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """The first byte of a node, and the byte after its last one."""
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    def text(self, node: ast.expr | ast.stmt) -> bytes:
        """The bytes of a node."""
        return self.data[slice(*self.span(node))]

    def change(self, operator: str, node: ast.expr | ast.stmt, new: bytes) -> Change:
        """The change that replaces a node."""
        return (operator, *self.span(node), new)


def _changes(tree: ast.Module, data: bytes, first: int, last: int) -> Iterator[Change]:
    """Yield the changes in the given lines, in the order of the tree."""
    source = _Source(data, tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.stmt | ast.ExceptHandler):
            continue
        if not first < node.lineno <= (node.end_lineno or 0) <= last:
            continue
        if isinstance(node, ast.stmt):
            yield from _of_statement(source, node)
        elif isinstance(node, ast.Call):
            yield from _of_call(source, node)
        elif isinstance(node, ast.expr):
            yield from _of_expression(source, node)
        elif isinstance(node.type, ast.Tuple):
            yield source.change("lost exception", node.type, source.text(node.type.elts[0]))


def _of_statement(source: _Source, node: ast.stmt) -> Iterator[Change]:
    """Yield the changes of a statement: lost, without its value, or after the next one."""
    if _is_effect(node):
        yield source.change("lost statement", node, b"pass")
    if isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], _LEAVES):
        yield source.change("lost guard", node, b"pass")
    if isinstance(node, ast.Return) and not isinstance(node.value, ast.Constant | None):
        yield source.change("lost value", node.value, b"None")
    body = getattr(node, "body", [])
    for one, other in itertools.pairwise(body):
        if _is_effect(one) and _is_effect(other):
            start, end = source.span(one)[0], source.span(other)[1]
            between = source.data[source.span(one)[1] : source.span(other)[0]]
            yield "order", start, end, source.text(other) + between + source.text(one)


def _is_effect(node: ast.stmt) -> bool:
    """Whether a statement calls a function or changes an object, so that it can be left out."""
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute | ast.Subscript)
    return isinstance(node, ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )


def _of_call(source: _Source, node: ast.Call) -> Iterator[Change]:
    """Yield the changes of a call: without its last argument, or its operand in its place."""
    arguments = [*map(source.text, node.args)]
    for keyword in node.keywords:
        name = f"{keyword.arg}=" if keyword.arg else "**"
        arguments.append(name.encode() + source.text(keyword.value))
    if len(arguments) > 1:
        fewer = source.text(node.func) + b"(" + b", ".join(arguments[:-1]) + b")"
        yield source.change("lost argument", node, fewer)
    if len(node.args) == 1 and not node.keywords and isinstance(node.func, ast.Name):
        yield source.change("lost call", node, source.text(node.args[0]))
    if not arguments and isinstance(node.func, ast.Attribute):
        yield source.change("lost call", node, source.text(node.func.value))


def _of_expression(source: _Source, node: ast.expr) -> Iterator[Change]:
    """Yield the changes of an expression other than a call."""
    if isinstance(node, ast.BoolOp):
        joint = b" and " if isinstance(node.op, ast.And) else b" or "
        for kept in (node.values[1:], node.values[:-1]):
            yield source.change("lost condition", node, joint.join(map(source.text, kept)))
    elif isinstance(node, ast.IfExp):
        yield source.change("lost choice", node, source.text(node.body))
    elif isinstance(node, ast.Compare) and source.text(node.comparators[0]) == b"None":
        word = b"" if isinstance(node.ops[0], ast.IsNot) else b"not "
        yield source.change("truth for None", node, word + source.text(node.left))
    elif isinstance(node, ast.Attribute) and len(source.attributes) > 1:
        place = source.attributes.index(node.attr)
        other = source.attributes[(place + 1) % len(source.attributes)]
        new = source.text(node.value) + b"." + other.encode()
        yield source.change("other attribute", node, new)
    elif isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1:
        yield source.change("other number", node, str(2 * node.value + 1).encode())
