"""Small changes of one line of Python, such as mend common slips: an operator, a bound, an index.

The operators are those of mutation testing, put to the other use (program repair by mutation:
Debroy and Wong, "Using mutation to automatically suggest fixes for faulty programs", ICST 2010).
What is around the change stays as it was written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from localagent.agent.repair.mutation.expected_vs_actual import Edit
from localagent.agent.repair.mutation.line import Line, Mutant, function_around, lines_of, parsed
from localagent.agent.repair.mutation.test_guided import (
    LOOKUP,
    all_lookups,
    cut,
    in_texts,
    missing_lookups,
    put_in,
)

_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.And: "and", ast.Or: "or",
}  # fmt: skip
_OPERATORS = {
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="),
    "==": ("!=",), "!=": ("==",), "in": ("not in",), "not in": ("in",),
    "is": ("is not",), "is not": ("is",), "+": ("-",), "-": ("+",), "*": ("+", "**"),
    "/": ("//", "*"), "//": ("/", "%"), "%": ("//",), "and": ("or",), "or": ("and",),
}  # fmt: skip
_NAMES = {
    "min": "max", "any": "all", "floor": "ceil", "append": "extend", "lower": "upper",
    "startswith": "endswith", "lstrip": "rstrip", "ljust": "rjust", "find": "rfind",
    "isalpha": "isalnum", "keys": "values", "remove": "discard",
    "ValueError": "TypeError", "KeyError": "IndexError",
}  # fmt: skip
_SWAPPED = {**_NAMES, **{new: old for old, new in _NAMES.items()}}
_ORDERED = ("-", "/", "//", "%")
_FIELD = re.compile(rb"(?<!\{)\{([^{}\s][^{}:!\n]*?)[:!}]")
_MOST_NAMES = 4
"""Other variables that are tried in the place of one."""


def mutations(
    text: str, line: int, edits: Sequence[Edit] = (), *, lookup_fails: bool = False
) -> list[str]:
    """The texts that differ from `text` by one small change in `line` (from 1), the likeliest
    first; none where `text` does not parse. What failing tests tell comes before all else: `edits`
    of texts, and that a key or index that the line looks up is not there."""
    return [new for _, new in _ranked(text, line, edits, lookup_fails=lookup_fails)]


def told(
    text: str, lines: Sequence[int], edits: Sequence[Edit], lookups: Collection[int]
) -> list[str]:
    """Of such changes of any of `lines` those alone that failing tests tell of, the likeliest
    first; on the lines `lookups` a key or index is not there."""
    if not edits and not lookups:
        return []
    found = [
        pair
        for line in lines
        for pair in _ranked(text, line, edits, lookup_fails=line in lookups, below=0)
    ]
    return [new for _, new in sorted(found, key=lambda pair: pair[0])]


def _ranked(
    text: str, line: int, edits: Sequence[Edit], *, lookup_fails: bool, below: int | None = None
) -> list[tuple[int, str]]:
    """The changed texts with their ranks, the lowest first; only those `below` a rank."""
    tree = parsed(text)
    lines = text.splitlines(keepends=True)
    if tree is None or not 1 <= line <= len(lines) or "\f" in text:
        return []  # form feeds: splitlines and the parser count lines differently
    here = Line(lines[line - 1], function_around(tree, line), line, lookup_fails=lookup_fails)
    found = [mutant for node in _nodes(tree, here, line) for mutant in _of(here, node)]
    found += all_lookups(here, [m for m in found if m.rank == LOOKUP])
    found += [m for node in ast.walk(tree) for m in in_texts(here, node, line, edits)]
    whole = _whole(tree, line)
    missing = [new for old, new in edits if new and not old]
    found += [m for node in whole for new in missing for m in put_in(here, node, new)]
    found += [m for node in whole if isinstance(node, ast.Return) for m in cut(here, node, edits)]
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.While)]
    found += [m for test in tests if lines_of(test) == (line, line) for m in _negated(here, test)]
    texts: dict[str, int] = {text: 0}
    for mutant in sorted(found, key=lambda m: m.rank):
        if below is not None and mutant.rank >= below:
            break
        changed = here.bytes[: mutant.start] + mutant.new.encode() + here.bytes[mutant.end :]
        new = "".join([*lines[: line - 1], changed.decode(), *lines[line:]])
        if new not in texts and parsed(new) is not None:
            texts[new] = mutant.rank
    return [(rank, new) for new, rank in texts.items() if new != text]


def _nodes(tree: ast.Module, here: Line, line: int) -> Iterator[ast.AST]:
    """The nodes that lie on the line, those of f-strings' fields, too."""
    nodes = _whole(tree, line)
    strings = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    yield from (node for node in nodes if not isinstance(node, ast.JoinedStr))
    for string in strings:
        written = here.bytes[string.col_offset : string.end_col_offset]
        for field in _FIELD.finditer(written):
            yield from _moved(field[1].decode(), string.col_offset + field.start(1))


def _whole(tree: ast.Module, line: int) -> list[ast.AST]:
    """The nodes that lie on the line, without those of f-strings' fields."""
    nodes = [node for node in ast.walk(tree) if lines_of(node) == (line, line)]
    strings = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    # Their positions are wrong before Python 3.12.
    inside = {id(part) for s in strings for part in ast.walk(s) if part is not s}
    return [node for node in nodes if id(node) not in inside]


def _moved(text: str, column: int) -> list[ast.expr]:
    """The nodes of an expression that begins in a column."""
    tree = parsed(text)
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr)] if tree is not None else []
    for node in nodes:
        node.col_offset += column
        node.end_col_offset = (node.end_col_offset or 0) + column
    return nodes


def _of(line: Line, node: ast.AST) -> Iterator[Mutant]:
    for kind, changes in _CHANGES.items():
        if isinstance(node, kind):
            yield from changes(line, node)


def _operators(line: Line, left: ast.expr, op: ast.AST, right: ast.expr) -> Iterator[Mutant]:
    """Other operators between two operands."""
    assert left.end_col_offset is not None
    between = line.bytes[left.end_col_offset : right.col_offset].decode()
    old = _SYMBOLS.get(type(op), "")
    written = re.compile(r"\s+".join(map(re.escape, old.split())))
    for rank, new in enumerate(_OPERATORS.get(old, ())):
        text = written.sub(new, between, count=1)
        yield Mutant(rank * 3, left.end_col_offset, right.col_offset, text)


def _comparison(line: Line, node: ast.Compare) -> Iterator[Mutant]:
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        yield from _operators(line, left, op, right)
        if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            yield from _by_one(line, 3, right)
        left = right


def _arithmetic(line: Line, node: ast.BinOp) -> Iterator[Mutant]:
    yield from _operators(line, node.left, node.op, node.right)
    if _SYMBOLS.get(type(node.op)) in _ORDERED:
        yield line.swap(4, node.left, node.right)


def _boolean(line: Line, node: ast.BoolOp) -> Iterator[Mutant]:
    if len(node.values) == 2:
        left, right = node.values
        yield from _operators(line, left, node.op, right)
        yield from (line.instead(4, node, line.of(value)) for value in node.values)


def _constant(line: Line, node: ast.Constant) -> Iterator[Mutant]:
    if isinstance(node.value, bool):
        yield line.instead(1, node, str(not node.value))
    elif isinstance(node.value, int):
        yield line.instead(2, node, str(node.value + 1))
        yield line.instead(2, node, str(node.value - 1))


def _unary(line: Line, node: ast.UnaryOp) -> Iterator[Mutant]:
    if isinstance(node.op, ast.Not):
        yield line.instead(1, node, line.of(node.operand))


def _index(line: Line, node: ast.Subscript) -> Iterator[Mutant]:
    index = node.slice
    yield from missing_lookups(line, node)
    if isinstance(index, ast.Slice):
        for bound in (index.lower, index.upper):
            if bound is not None:
                yield from _by_one(line, 2, bound)
    elif isinstance(index, ast.Constant) and index.value == 0:
        yield line.instead(1, index, "-1")
    elif isinstance(index, ast.UnaryOp):
        yield line.instead(1, index, "0")
    else:
        yield from _by_one(line, 3, index)


def _call(line: Line, node: ast.Call) -> Iterator[Mutant]:
    name = line.of(node.func)
    if name == "range" and len(node.args) in (1, 2):
        yield from _by_one(line, 1, node.args[-1])
        if len(node.args) == 1:
            yield line.instead(4, node.args[0], f"1, {line.of(node.args[0])}")
    elif len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        yield line.swap(4, *node.args)
    if name == "sorted" and len(node.args) == 1 and not node.keywords:
        yield line.instead(4, node.args[0], f"{line.of(node.args[0])}, reverse=True")


def _method(line: Line, node: ast.Attribute) -> Iterator[Mutant]:
    if node.attr in _SWAPPED:
        yield line.instead(4, node, f"{line.of(node.value)}.{_SWAPPED[node.attr]}")


def _name(line: Line, node: ast.Name) -> Iterator[Mutant]:
    if not isinstance(node.ctx, ast.Load):
        return
    if node.id in _SWAPPED and node.id not in line.variables:
        yield line.instead(3, node, _SWAPPED[node.id])
    if node.id in line.variables:
        others = [name for name in line.variables if name != node.id]
        yield from (line.instead(6, node, name) for name in others[:_MOST_NAMES])


def _choice(line: Line, node: ast.IfExp) -> Iterator[Mutant]:
    yield line.instead(
        3, node, f"{line.of(node.orelse)} if {line.of(node.test)} else {line.of(node.body)}"
    )


def _assignment(line: Line, node: ast.AugAssign) -> Iterator[Mutant]:
    target, value = line.of(node.target), line.of(node.value)
    for op in _OPERATORS.get(_SYMBOLS.get(type(node.op), ""), ()):
        yield line.instead(2, node, f"{target} {op}= {value}")
    yield line.instead(5, node, f"{target} = {value}")


def _negated(line: Line, test: ast.expr) -> Iterator[Mutant]:
    text = line.of(test)
    if isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
        yield line.instead(3, test, f"not {text}")
    elif isinstance(test, ast.BoolOp):
        yield line.instead(5, test, f"not ({text})")


def _break(line: Line, node: ast.Break) -> Iterator[Mutant]:
    yield line.instead(2, node, "continue")


def _continue(line: Line, node: ast.Continue) -> Iterator[Mutant]:
    yield line.instead(2, node, "break")


_CHANGES: dict[type[ast.AST], Callable[..., Iterable[Mutant]]] = {
    ast.Compare: _comparison,
    ast.BinOp: _arithmetic,
    ast.BoolOp: _boolean,
    ast.Constant: _constant,
    ast.UnaryOp: _unary,
    ast.Subscript: _index,
    ast.Call: _call,
    ast.Attribute: _method,
    ast.Name: _name,
    ast.IfExp: _choice,
    ast.AugAssign: _assignment,
    ast.Break: _break,
    ast.Continue: _continue,
}


def _by_one(line: Line, rank: int, node: ast.expr) -> Iterator[Mutant]:
    """One more and one less; of what adds or takes away one, without that."""
    if isinstance(node, ast.Constant):
        return  # the constant's own changes do that
    text = line.of(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        if isinstance(node.right, ast.Constant) and node.right.value == 1:
            yield line.instead(rank, node, line.of(node.left))
            return
    elif not isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
        text = f"({text})"
    yield line.instead(rank, node, f"{text} + 1")
    yield line.instead(rank, node, f"{text} - 1")
