"""Small changes of one line of Python that repair common slips: an operator, a bound, an index.

The changes are the operators of mutation testing, used for repair (Debroy and Wong, "Using mutation
to automatically suggest fixes for faulty programs", ICST 2010).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count

from localagent.agent.limits import SEARCH
from localagent.agent.repair.hints import Hints
from localagent.agent.repair.insertions import insertions
from localagent.agent.repair.line_edits import (
    LOOKUP,
    Mutant,
    SourceLine,
    edit_literal,
    insert_text,
    replace_all_lookups,
    replace_lookup,
    trim_return,
)
from localagent.agent.repair.parsed_text import ParsedText, parse, parsed_text
from localagent.agent.repair.rewrites import rewrites

NO_HINTS = Hints()

_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.And: "and", ast.Or: "or", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
    ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_OPERATORS = {
    "<": ("<=", ">", ">=", "!="), "<=": ("<", ">=", ">", "=="),
    ">": (">=", "<", "<=", "!="), ">=": (">", "<=", "<", "=="),
    "==": ("!=", ">=", "<=", "is", "in"), "!=": ("==", ">", "<", "is not", "not in"),
    "in": ("not in", "=="), "not in": ("in", "!="),
    "is": ("is not", "=="), "is not": ("is", "!="),
    "+": ("-", "*"), "-": ("+", "*"), "*": ("+", "**", "/", "-"),
    "/": ("//", "*"), "//": ("/", "%", "*"), "%": ("//", "/"),
    "&": ("|", "^"), "|": ("&", "^"), "^": ("&", "|"), "<<": (">>",), ">>": ("<<",),
    "and": ("or",), "or": ("and",),
}  # fmt: skip
_ALIKE = (
    ("min", "max"), ("any", "all"), ("floor", "ceil"), ("append", "extend"), ("lower", "upper"),
    ("startswith", "endswith"), ("strip", "lstrip", "rstrip"), ("lstrip", "rstrip", "strip"),
    ("ljust", "rjust"), ("find", "rfind"), ("index", "rindex"), ("split", "rsplit", "splitlines"),
    ("partition", "rpartition"), ("isalpha", "isalnum"), ("isdigit", "isdecimal", "isnumeric"),
    ("keys", "values", "items"), ("values", "items"), ("remove", "discard", "pop"),
    ("removeprefix", "removesuffix"), ("add", "update", "discard"), ("get", "setdefault", "pop"),
    ("title", "capitalize"), ("isinstance", "issubclass"), ("union", "intersection"),
    ("match", "fullmatch", "search"),
    ("list", "tuple", "set"), ("int", "float"), ("round", "int"), ("sorted", "reversed"),
    ("ValueError", "TypeError"), ("KeyError", "IndexError", "AttributeError", "LookupError"),
    ("real", "imag"), ("first", "last"), ("left", "right"), ("before", "after"), ("start", "end"),
    ("width", "height"), ("rows", "columns"), ("x", "y"), ("source", "target"), ("old", "new"),
)  # fmt: skip
_SWAPPED: dict[str, list[str]] = {}
for _names in _ALIKE:
    for _name_before in _names:
        _SWAPPED.setdefault(_name_before, []).extend(n for n in _names if n != _name_before)
_ORDERED = ("-", "/", "//", "%")
_FIELD = re.compile(rb"(?<!\{)\{([^{}\s][^{}:!\n]*?)[:!}]")


def mutations(text: str, line: int, hints: Hints = NO_HINTS) -> list[str]:
    """The texts that result from `text` by one small change in `line` (from 1), likeliest first.

    Changes that the hints of failing tests suggest come first. Empty if `text` does not parse.
    """
    parsed = parsed_text(text)
    ranked = _ranked(parsed, line, hints)
    return [new for _, changed in ranked if (new := parsed.with_line(line, changed))]


def guided_mutations(text: str, lines: Sequence[int], hints: Hints) -> list[str]:
    """Only those changes of texts and lookups that failing tests suggest, likeliest first."""
    if not hints.edits and not hints.failing_lookups:
        return []
    parsed = parsed_text(text)
    ranked = [
        (rank, line, changed)
        for line in lines
        for rank, changed in _ranked(parsed, line, hints)
        if rank < 0
    ]
    ranked.sort(key=lambda change: change[0])
    return [new for _, line, changed in ranked if (new := parsed.with_line(line, changed))]


def all_mutations(
    text: str,
    lines: Mapping[int, int],
    hints: Hints = NO_HINTS,
    per_line: int | None = None,
) -> Iterator[str]:
    """All small changes of any of `lines`: the first one of each line, then the second, and so on.

    `lines` maps each line to its handicap: how many changes of a line without a handicap come
    before its first one. `per_line` is the most changes of one line.
    """
    parsed = parsed_text(text)
    changes: dict[int, list[tuple[int, str]]] = {}
    waiting = dict(lines)
    for place in count():
        if not waiting:
            return
        for line, handicap in list(waiting.items()):
            if place < handicap:
                continue
            if line not in changes:
                changes[line] = _ranked(parsed, line, hints)[:per_line][::-1]
            if not changes[line]:
                del waiting[line]
            elif new := parsed.with_line(line, changes[line].pop()[1]):
                yield new


def _ranked(parsed: ParsedText, number: int, hints: Hints) -> list[tuple[int, str]]:
    """The changed lines with their ranks, the lowest rank first."""
    if parsed.tree is None or not 1 <= number <= len(parsed.lines):
        return []
    text = parsed.lines[number - 1]
    line = SourceLine(parsed, number, hints)
    changed: dict[str, int] = {}
    for mutant in sorted(_mutants(parsed, line, number, hints), key=lambda m: m.rank):
        new = line.bytes[: mutant.start] + mutant.new.encode() + line.bytes[mutant.end :]
        changed.setdefault(new.decode(), mutant.rank)
    changed.pop(text, None)
    return [(rank, new) for new, rank in changed.items()]


def _mutants(parsed: ParsedText, line: SourceLine, number: int, hints: Hints) -> list[Mutant]:
    """All mutants of a line, in no order."""
    nodes = _whole_nodes(parsed, number)
    mutants = [
        mutant
        for node in _nodes(nodes, line)
        for kind, changes in _CHANGES.items()
        if isinstance(node, kind)
        for mutant in changes(line, node)
    ]
    mutants += replace_all_lookups(line, [m for m in mutants if m.rank == LOOKUP])
    for node in parsed.nodes(number):
        mutants += edit_literal(line, node, number, hints.edits)
    for node in nodes:
        for missing in (new for old, new in hints.edits if new and not old):
            mutants += insert_text(line, node, missing)
        if isinstance(node, ast.Return):
            mutants += trim_return(line, node, hints.edits)
    for part, expression in parsed.parts(number):
        mutants += _negated(line, expression) if part == "test" else ()
    mutants += rewrites(line, nodes, parsed.parts(number))
    return [*mutants, *insertions(parsed, line, number, hints)]


def _nodes(nodes: Sequence[ast.AST], line: SourceLine) -> Iterator[ast.AST]:
    """The syntax nodes on the line, including nodes in the fields of f-strings."""
    yield from (node for node in nodes if not isinstance(node, ast.JoinedStr))
    for string in (node for node in nodes if isinstance(node, ast.JoinedStr)):
        literal = line.bytes[string.col_offset : string.end_col_offset]
        for field in _FIELD.finditer(literal):
            yield from _field_nodes(field[1].decode(), string.col_offset + field.start(1))


def _whole_nodes(parsed: ParsedText, number: int) -> list[ast.AST]:
    """The syntax nodes on the line, without nodes in the fields of f-strings."""
    nodes = parsed.nodes(number)
    strings = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    # Before Python 3.12, the positions of nodes inside f-strings are wrong.
    inside = {id(part) for s in strings for part in ast.walk(s) if part is not s}
    return [node for node in nodes if id(node) not in inside]


def _field_nodes(text: str, column: int) -> list[ast.expr]:
    """The syntax nodes of an expression that begins in the given column of the line."""
    tree = parse(text)
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr)] if tree is not None else []
    for node in nodes:
        node.col_offset += column
        node.end_col_offset = (node.end_col_offset or 0) + column
    return nodes


def _operators(line: SourceLine, left: ast.expr, op: ast.AST, right: ast.expr) -> Iterator[Mutant]:
    """Mutants with another operator between two operands."""
    assert left.end_col_offset is not None
    between = line.bytes[left.end_col_offset : right.col_offset].decode()
    old = _SYMBOLS.get(type(op), "")
    pattern = re.compile(r"\s+".join(map(re.escape, old.split())))
    for rank, new in enumerate(_OPERATORS.get(old, ())):
        text = pattern.sub(new, between, count=1)
        yield Mutant(rank * 3, left.end_col_offset, right.col_offset, text)


def _comparison(line: SourceLine, node: ast.Compare) -> Iterator[Mutant]:
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        yield from _operators(line, left, op, right)
        if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            yield from _by_one(line, 3, right)
        left = right


def _arithmetic(line: SourceLine, node: ast.BinOp) -> Iterator[Mutant]:
    yield from _operators(line, node.left, node.op, node.right)
    if _SYMBOLS.get(type(node.op)) in _ORDERED:
        yield line.swap(4, node.left, node.right)


def _boolean(line: SourceLine, node: ast.BoolOp) -> Iterator[Mutant]:
    if len(node.values) == 2:
        left, right = node.values
        yield from _operators(line, left, node.op, right)
        yield from (line.replace(4, node, line.source(value)) for value in node.values)


def _constant(line: SourceLine, node: ast.Constant) -> Iterator[Mutant]:
    if isinstance(node.value, bool):
        yield line.replace(1, node, str(not node.value))
    elif isinstance(node.value, int):
        yield line.replace(2, node, str(node.value + 1))
        yield line.replace(2, node, str(node.value - 1))


def _unary(line: SourceLine, node: ast.UnaryOp) -> Iterator[Mutant]:
    if isinstance(node.op, ast.Not):
        yield line.replace(1, node, line.source(node.operand))


def _index(line: SourceLine, node: ast.Subscript) -> Iterator[Mutant]:
    index = node.slice
    yield from replace_lookup(line, node)
    if isinstance(index, ast.Slice):
        for bound in (index.lower, index.upper):
            if bound is not None:
                yield from _by_one(line, 2, bound)
    elif isinstance(index, ast.Constant) and index.value == 0:
        yield line.replace(1, index, "-1")
    elif isinstance(index, ast.UnaryOp):
        yield line.replace(1, index, "0")
    else:
        yield from _by_one(line, 3, index)


def _call(line: SourceLine, node: ast.Call) -> Iterator[Mutant]:
    name = line.source(node.func)
    if name == "range" and len(node.args) in (1, 2):
        yield from _by_one(line, 1, node.args[-1])
        if len(node.args) == 1:
            yield line.replace(4, node.args[0], f"1, {line.source(node.args[0])}")
    elif len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        yield line.swap(4, *node.args)
    if name == "sorted" and len(node.args) == 1 and not node.keywords:
        yield line.replace(4, node.args[0], f"{line.source(node.args[0])}, reverse=True")


def _method(line: SourceLine, node: ast.Attribute) -> Iterator[Mutant]:
    for name in _SWAPPED.get(node.attr, ()):
        yield line.replace(4, node, f"{line.source(node.value)}.{name}")


def _name(line: SourceLine, node: ast.Name) -> Iterator[Mutant]:
    if not isinstance(node.ctx, ast.Load):
        return
    if node.id not in line.variables:
        yield from (line.replace(3, node, name) for name in _SWAPPED.get(node.id, ()))
    else:
        others = [name for name in line.variables if name != node.id]
        for place, name in enumerate(others):
            yield line.replace(6 if place < SEARCH.mutation_names else 9, node, name)


def _choice(line: SourceLine, node: ast.IfExp) -> Iterator[Mutant]:
    yield line.replace(
        3,
        node,
        f"{line.source(node.orelse)} if {line.source(node.test)} else {line.source(node.body)}",
    )


def _assignment(line: SourceLine, node: ast.AugAssign) -> Iterator[Mutant]:
    target, value = line.source(node.target), line.source(node.value)
    for op in _OPERATORS.get(_SYMBOLS.get(type(node.op), ""), ()):
        yield line.replace(2, node, f"{target} {op}= {value}")
    yield line.replace(5, node, f"{target} = {value}")


def _negated(line: SourceLine, test: ast.expr) -> Iterator[Mutant]:
    text = line.source(test)
    if isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
        yield line.replace(3, test, f"not {text}")
    elif isinstance(test, ast.BoolOp):
        yield line.replace(5, test, f"not ({text})")


def _break(line: SourceLine, node: ast.Break) -> Iterator[Mutant]:
    yield line.replace(2, node, "continue")


def _continue(line: SourceLine, node: ast.Continue) -> Iterator[Mutant]:
    yield line.replace(2, node, "break")


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


def _by_one(line: SourceLine, rank: int, node: ast.expr) -> Iterator[Mutant]:
    """The expression plus one and minus one, or without its own "+ 1" or "- 1"."""
    if isinstance(node, ast.Constant):
        return  # see _constant
    text = line.source(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        if isinstance(node.right, ast.Constant) and node.right.value == 1:
            yield line.replace(rank, node, line.source(node.left))
            return
    elif not isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
        text = f"({text})"
    yield line.replace(rank, node, f"{text} + 1")
    yield line.replace(rank, node, f"{text} - 1")
