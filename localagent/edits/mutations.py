"""Small changes of one line of Python, such as mend common slips: an operator, a bound, an index.

The operators are those of mutation testing, put to the other use (program repair by mutation:
Debroy and Wong, "Using mutation to automatically suggest fixes for faulty programs", ICST 2010).
What is around the change stays as it was written.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from localagent.edits.differences import ONE_TOO_MANY, Edit

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
_LOOKUP = -4
"""The rank of a call in the place of a lookup."""
_MOST_NAMES = 4
"""Other variables that are tried in the place of one."""


@dataclass(frozen=True, slots=True)
class _Mutant:
    """What to write in the place of the line's bytes from `start` to `end`; lower ranks are tried
    first."""

    rank: int
    start: int
    end: int
    new: str


class _Line:
    """A line of a text, the columns of whose nodes are those of its bytes."""

    def __init__(
        self, text: str, function: _Function | None, number: int, *, lookup_fails: bool
    ) -> None:
        self.bytes = text.encode()
        self.variables = _variables(function, number)
        self.recursive = _recursive(function, at_all=lookup_fails)
        self.lookup_fails = lookup_fails

    def of(self, node: ast.expr | ast.stmt) -> str:
        """A node as it is written."""
        return self.bytes[node.col_offset : node.end_col_offset].decode()

    def instead(self, rank: int, node: ast.expr | ast.stmt, new: str) -> _Mutant:
        """`new` in the place of a node."""
        assert node.end_col_offset is not None
        return _Mutant(rank, node.col_offset, node.end_col_offset, new)

    def swap(self, rank: int, first: ast.expr, second: ast.expr) -> _Mutant:
        """Two nodes in each other's place."""
        assert first.end_col_offset is not None
        assert second.end_col_offset is not None
        between = self.bytes[first.end_col_offset : second.col_offset].decode()
        new = self.of(second) + between + self.of(first)
        return _Mutant(rank, first.col_offset, second.end_col_offset, new)

    def operators(self, left: ast.expr, op: ast.AST, right: ast.expr) -> Iterator[_Mutant]:
        """Other operators between two operands."""
        assert left.end_col_offset is not None
        between = self.bytes[left.end_col_offset : right.col_offset].decode()
        old = _SYMBOLS.get(type(op), "")
        written = re.compile(r"\s+".join(map(re.escape, old.split())))
        for rank, new in enumerate(_OPERATORS.get(old, ())):
            text = written.sub(new, between, count=1)
            yield _Mutant(rank * 3, left.end_col_offset, right.col_offset, text)


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
    tree = _tree(text)
    lines = text.splitlines(keepends=True)
    if tree is None or not 1 <= line <= len(lines) or "\f" in text:
        return []  # form feeds: splitlines and the parser count lines differently
    here = _Line(lines[line - 1], _function(tree, line), line, lookup_fails=lookup_fails)
    found = [mutant for node in _nodes(tree, here, line) for mutant in _of(here, node)]
    found += _all_lookups(here, [m for m in found if m.rank == _LOOKUP])
    found += [m for node in ast.walk(tree) for m in _text(here, node, line, edits)]
    whole = _whole(tree, line)
    missing = [new for old, new in edits if new and not old]
    found += [m for node in whole for new in missing for m in _put_in(here, node, new)]
    found += [m for node in whole if isinstance(node, ast.Return) for m in _cut(here, node, edits)]
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.While)]
    found += [m for test in tests if _lines(test) == (line, line) for m in _negated(here, test)]
    texts: dict[str, int] = {text: 0}
    for mutant in sorted(found, key=lambda m: m.rank):
        if below is not None and mutant.rank >= below:
            break
        changed = here.bytes[: mutant.start] + mutant.new.encode() + here.bytes[mutant.end :]
        new = "".join([*lines[: line - 1], changed.decode(), *lines[line:]])
        if new not in texts and _tree(new) is not None:
            texts[new] = mutant.rank
    return [(rank, new) for new, rank in texts.items() if new != text]


def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are not this module's business
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _nodes(tree: ast.Module, here: _Line, line: int) -> Iterator[ast.AST]:
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
    nodes = [node for node in ast.walk(tree) if _lines(node) == (line, line)]
    strings = [node for node in nodes if isinstance(node, ast.JoinedStr)]
    # Their positions are wrong before Python 3.12.
    inside = {id(part) for s in strings for part in ast.walk(s) if part is not s}
    return [node for node in nodes if id(node) not in inside]


def _lines(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)


def _moved(text: str, column: int) -> list[ast.expr]:
    """The nodes of an expression that begins in a column."""
    tree = _tree(text)
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr)] if tree is not None else []
    for node in nodes:
        node.col_offset += column
        node.end_col_offset = (node.end_col_offset or 0) + column
    return nodes


def _of(line: _Line, node: ast.AST) -> Iterator[_Mutant]:
    for kind, changes in _CHANGES.items():
        if isinstance(node, kind):
            yield from changes(line, node)


def _comparison(line: _Line, node: ast.Compare) -> Iterator[_Mutant]:
    left = node.left
    for op, right in zip(node.ops, node.comparators, strict=True):
        yield from line.operators(left, op, right)
        if isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            yield from _by_one(line, 3, right)
        left = right


def _arithmetic(line: _Line, node: ast.BinOp) -> Iterator[_Mutant]:
    yield from line.operators(node.left, node.op, node.right)
    if _SYMBOLS.get(type(node.op)) in _ORDERED:
        yield line.swap(4, node.left, node.right)


def _boolean(line: _Line, node: ast.BoolOp) -> Iterator[_Mutant]:
    if len(node.values) == 2:
        left, right = node.values
        yield from line.operators(left, node.op, right)
        yield from (line.instead(4, node, line.of(value)) for value in node.values)


def _constant(line: _Line, node: ast.Constant) -> Iterator[_Mutant]:
    if isinstance(node.value, bool):
        yield line.instead(1, node, str(not node.value))
    elif isinstance(node.value, int):
        yield line.instead(2, node, str(node.value + 1))
        yield line.instead(2, node, str(node.value - 1))


def _text(line: _Line, node: ast.AST, number: int, edits: Sequence[Edit]) -> Iterator[_Mutant]:
    """Edits in a text that stands on the line; in one with fields, in what is around them."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if _lines(node) != (number, number) or not (is_text or isinstance(node, ast.JoinedStr)):
        return
    assert isinstance(node, ast.expr)
    written = line.of(node)
    for old, new in edits:
        if old and old in written:
            # Where something is only missing, the texts that are joined are the likelier place.
            rank = -2 if old in new else -3
            yield line.instead(rank, node, written.replace(old, new))


def _put_in(line: _Line, node: ast.AST, missing: str) -> Iterator[_Mutant]:
    """A text that is missing in what comes out, put in where texts are joined or given back."""
    text = _quoted(missing)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield line.instead(-3, node.right, f"{text} + {line.of(node.right)}")
        yield line.instead(-1, node.left, f"{text} + {line.of(node.left)}")
    elif isinstance(node, ast.IfExp):
        yield line.instead(-3, node.body, f"{text} + {line.of(node.body)}")
        yield line.instead(-2, node.body, f"{line.of(node.body)} + {text}")
    elif isinstance(node, ast.Constant) and node.value == "":
        yield line.instead(-2, node, text)
    elif isinstance(node, ast.JoinedStr) and "}{" in (written := line.of(node)):
        yield line.instead(-3, node, written.replace("}{", f"}}{missing}{{"))
    elif isinstance(node, ast.Return) and node.value is not None:
        value = _operand(line, node.value, ast.BinOp)
        yield line.instead(-1, node.value, f"{value} + {text}")
        yield line.instead(-1, node.value, f"{text} + {value}")


def _cut(line: _Line, node: ast.Return, edits: Sequence[Edit]) -> Iterator[_Mutant]:
    """What is too much in what is given back, taken off its end or its start."""
    if node.value is None:
        return
    value = _operand(line, node.value)
    if ONE_TOO_MANY in edits:
        yield line.instead(-2, node.value, f"{value}[:-1]")
    for old in (old for old, new in edits if old and not new):
        yield line.instead(-2, node.value, f"{value}.removesuffix({_quoted(old)})")
        yield line.instead(-1, node.value, f"{value}.removeprefix({_quoted(old)})")


def _operand(line: _Line, node: ast.expr, *kinds: type[ast.expr]) -> str:
    """An expression as it can stand beside an operator; those of `kinds` are so as they are."""
    plain = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.JoinedStr, *kinds)
    return line.of(node) if isinstance(node, plain) else f"({line.of(node)})"


def _quoted(text: str) -> str:
    plain = text.isprintable() and not set(text) & set('"\\')
    return f'"{text}"' if plain else repr(text)


def _unary(line: _Line, node: ast.UnaryOp) -> Iterator[_Mutant]:
    if isinstance(node.op, ast.Not):
        yield line.instead(1, node, line.of(node.operand))


def _index(line: _Line, node: ast.Subscript) -> Iterator[_Mutant]:
    index = node.slice
    works_out = isinstance(index, ast.BinOp) or (
        line.lookup_fails and not isinstance(index, ast.Constant | ast.Slice)
    )
    if line.recursive and works_out:
        yield line.instead(_LOOKUP, node, f"{line.recursive}({line.of(index)})")
    if line.lookup_fails and not isinstance(index, ast.Slice):
        there, key = line.of(node.value), line.of(index)
        yield line.instead(-2, node, f'({there}[{key}] if {key} < len({there}) else "")')
        yield line.instead(-2, node, f'{there}.get({key}, "")')
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


def _all_lookups(line: _Line, each: Sequence[_Mutant]) -> Iterator[_Mutant]:
    """Calls in the place of all lookups on the line at once."""
    apart: list[_Mutant] = []
    for mutant in sorted(each, key=lambda m: (m.start, -m.end)):
        if not apart or mutant.start >= apart[-1].end:
            apart.append(mutant)
    if len(apart) > 1:
        new = apart[0].new
        for before, mutant in pairwise(apart):
            new += line.bytes[before.end : mutant.start].decode() + mutant.new
        yield _Mutant(_LOOKUP, apart[0].start, apart[-1].end, new)


def _call(line: _Line, node: ast.Call) -> Iterator[_Mutant]:
    name = line.of(node.func)
    if name == "range" and len(node.args) in (1, 2):
        yield from _by_one(line, 1, node.args[-1])
        if len(node.args) == 1:
            yield line.instead(4, node.args[0], f"1, {line.of(node.args[0])}")
    elif len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        yield line.swap(4, *node.args)
    if name == "sorted" and len(node.args) == 1 and not node.keywords:
        yield line.instead(4, node.args[0], f"{line.of(node.args[0])}, reverse=True")


def _method(line: _Line, node: ast.Attribute) -> Iterator[_Mutant]:
    if node.attr in _SWAPPED:
        yield line.instead(4, node, f"{line.of(node.value)}.{_SWAPPED[node.attr]}")


def _name(line: _Line, node: ast.Name) -> Iterator[_Mutant]:
    if not isinstance(node.ctx, ast.Load):
        return
    if node.id in _SWAPPED and node.id not in line.variables:
        yield line.instead(3, node, _SWAPPED[node.id])
    if node.id in line.variables:
        others = [name for name in line.variables if name != node.id]
        yield from (line.instead(6, node, name) for name in others[:_MOST_NAMES])


def _choice(line: _Line, node: ast.IfExp) -> Iterator[_Mutant]:
    yield line.instead(
        3, node, f"{line.of(node.orelse)} if {line.of(node.test)} else {line.of(node.body)}"
    )


def _assignment(line: _Line, node: ast.AugAssign) -> Iterator[_Mutant]:
    target, value = line.of(node.target), line.of(node.value)
    for op in _OPERATORS.get(_SYMBOLS.get(type(node.op), ""), ()):
        yield line.instead(2, node, f"{target} {op}= {value}")
    yield line.instead(5, node, f"{target} = {value}")


def _negated(line: _Line, test: ast.expr) -> Iterator[_Mutant]:
    text = line.of(test)
    if isinstance(test, ast.Name | ast.Call | ast.Attribute | ast.Subscript):
        yield line.instead(3, test, f"not {text}")
    elif isinstance(test, ast.BoolOp):
        yield line.instead(5, test, f"not ({text})")


def _break(line: _Line, node: ast.Break) -> Iterator[_Mutant]:
    yield line.instead(2, node, "continue")


def _continue(line: _Line, node: ast.Continue) -> Iterator[_Mutant]:
    yield line.instead(2, node, "break")


_CHANGES: dict[type[ast.AST], Callable[..., Iterable[_Mutant]]] = {
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


def _by_one(line: _Line, rank: int, node: ast.expr) -> Iterator[_Mutant]:
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


_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _function(tree: ast.Module, line: int) -> _Function | None:
    """The innermost function around the line."""
    functions = [
        n
        for n in ast.walk(tree)
        if isinstance(n, _Function) and n.lineno < line <= (n.end_lineno or n.lineno)
    ]
    return max(functions, key=lambda f: f.lineno, default=None)


def _recursive(function: _Function | None, *, at_all: bool) -> str:
    """The function's name where it takes one argument and calls itself, or where it might `at_all`;
    else ""."""
    if function is None or len(function.args.args) != 1 or function.args.args[0].arg == "self":
        return ""
    calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call)]
    names = [f.id for f in calls if isinstance(f, ast.Name)]
    return function.name if at_all or function.name in names else ""


def _variables(function: _Function | None, line: int) -> list[str]:
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
