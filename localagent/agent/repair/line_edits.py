"""Edits of one line of Python: replaced syntax nodes, and edits that failing tests suggest.

A failing test suggests edits in two ways: by an actual and an expected text, or by the failed
lookup of a missing key or index. An edit does not change the text around it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from localagent.agent.checks.failure_messages import ONE_TOO_MANY, Edit
from localagent.agent.repair.hints import Hints
from localagent.agent.repair.ingredients import ingredients_of, members, unused
from localagent.agent.repair.parsed_text import Function, ParsedText, lines_of

LOOKUP = -4
"""The rank of a mutant that replaces a lookup by a call."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A replacement of a line's bytes from `start` to `end`; lower ranks are tried first."""

    rank: int
    start: int
    end: int
    new: str


class SourceLine:
    """A line of a file, addressed by the byte columns of its nodes.

    `variables` are the enclosing function's variables, the nearest first. `recursive` is that
    function's name if a recursive call is likely, or "". `lookup_fails` says that a key or index on
    this line was missing in a test, and `raised` is the exception that passed the line in a test.
    `attributes` are the attributes of `self`, and `callables` the functions as the line may call
    them. `members` and `unused` are those of the function, and `ingredients` those of the file.
    `in_loop` says that the line is in the body of a loop.
    """

    def __init__(self, parsed: ParsedText, number: int, hints: Hints) -> None:
        function = parsed.function(number)
        self.bytes = parsed.lines[number - 1].encode()
        self.in_loop = parsed.in_loop(number)
        self.ingredients = ingredients_of(parsed)
        self.callables = [*parsed.callables(number), *self.ingredients.called]
        self.members = members(function)
        self.unused = unused(function)
        self.raised = hints.raised.get(number, "")
        self.attributes = parsed.attributes(number)
        self.variables = _variables(function, number)
        self.lookup_fails = number in hints.failing_lookups
        self.recursive = _recursive(function, at_all=self.lookup_fails)

    def source(self, node: ast.expr | ast.stmt) -> str:
        """The source text of a node."""
        return self.bytes[node.col_offset : node.end_col_offset].decode()

    def replace(self, rank: int, node: ast.expr | ast.stmt, new: str) -> Mutant:
        """The mutant that replaces a node by `new`."""
        assert node.end_col_offset is not None
        return Mutant(rank, node.col_offset, node.end_col_offset, new)

    def swap(self, rank: int, first: ast.expr, second: ast.expr) -> Mutant:
        """The mutant that exchanges two nodes."""
        assert first.end_col_offset is not None
        assert second.end_col_offset is not None
        between = self.bytes[first.end_col_offset : second.col_offset].decode()
        new = self.source(second) + between + self.source(first)
        return Mutant(rank, first.col_offset, second.end_col_offset, new)

    def between(self, rank: int, first: ast.expr, second: ast.expr, new: str) -> Mutant:
        """The mutant that replaces `second`, and what separates it from `first`, by `new`."""
        assert first.end_col_offset is not None
        assert second.end_col_offset is not None
        return Mutant(rank, first.end_col_offset, second.end_col_offset, new)


def _recursive(function: Function | None, *, at_all: bool) -> str:
    """The name of a one-argument function that calls itself, or of any if `at_all`; or ""."""
    if function is None or len(function.args.args) != 1 or function.args.args[0].arg == "self":
        return ""
    calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call)]
    names = [f.id for f in calls if isinstance(f, ast.Name)]
    return function.name if at_all or function.name in names else ""


@lru_cache(maxsize=1024)
def _stores(function: Function) -> list[tuple[str, int]]:
    """A function's parameters and variables, with the lines that set them."""
    found: list[tuple[str, int]] = []
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.append((node.id, node.lineno))
        elif isinstance(node, ast.arg):
            found.append((node.arg, node.lineno))
    return [(name, line) for name, line in found if name not in ("self", "cls", "_")]


def _variables(function: Function | None, line: int) -> list[str]:
    """A function's parameters and variables, those nearest to the line first."""
    distances: dict[str, int] = {}
    for name, number in _stores(function) if function is not None else ():
        distance = abs(number - line)
        distances[name] = min(distance, distances.get(name, distance))
    return sorted(distances, key=lambda name: (distances[name], name))


def edit_literal(
    line: SourceLine, node: ast.AST, number: int, edits: Sequence[Edit]
) -> Iterator[Mutant]:
    """Apply edits to a text literal on line `number`; the fields of an f-string do not change."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if lines_of(node) != (number, number) or not (is_text or isinstance(node, ast.JoinedStr)):
        return
    assert isinstance(node, ast.expr)
    literal = line.source(node)
    for old, new in edits:
        if old and old in literal:
            # A missing part is likelier to belong where texts are joined, so this edit comes later.
            rank = -2 if old in new else -3
            yield line.replace(rank, node, literal.replace(old, new))


def insert_text(line: SourceLine, node: ast.AST, missing: str) -> Iterator[Mutant]:
    """Insert a missing text at places where texts are joined or returned."""
    text = _quoted(missing)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield line.replace(-3, node.right, f"{text} + {line.source(node.right)}")
        yield line.replace(-1, node.left, f"{text} + {line.source(node.left)}")
    elif isinstance(node, ast.IfExp):
        yield line.replace(-3, node.body, f"{text} + {line.source(node.body)}")
        yield line.replace(-2, node.body, f"{line.source(node.body)} + {text}")
    elif isinstance(node, ast.Constant) and node.value == "":
        yield line.replace(-2, node, text)
    elif isinstance(node, ast.JoinedStr) and "}{" in (literal := line.source(node)):
        yield line.replace(-3, node, literal.replace("}{", f"}}{missing}{{"))
    elif isinstance(node, ast.Return) and node.value is not None:
        value = _operand(line, node.value, ast.BinOp)
        yield line.replace(-1, node.value, f"{value} + {text}")
        yield line.replace(-1, node.value, f"{text} + {value}")


def trim_return(line: SourceLine, node: ast.Return, edits: Sequence[Edit]) -> Iterator[Mutant]:
    """Cut a part that no test expects from the end or the start of a returned value."""
    if node.value is None:
        return
    value = _operand(line, node.value)
    if ONE_TOO_MANY in edits:
        yield line.replace(-2, node.value, f"{value}[:-1]")
    for old in (old for old, new in edits if old and not new):
        yield line.replace(-2, node.value, f"{value}.removesuffix({_quoted(old)})")
        yield line.replace(-1, node.value, f"{value}.removeprefix({_quoted(old)})")


def _operand(line: SourceLine, node: ast.expr, *kinds: type[ast.expr]) -> str:
    """An expression as an operand: in parentheses, unless it is simple or of one of the `kinds`."""
    simple = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.JoinedStr, *kinds)
    return line.source(node) if isinstance(node, simple) else f"({line.source(node)})"


def _quoted(text: str) -> str:
    plain = text.isprintable() and not set(text) & set('"\\')
    return f'"{text}"' if plain else repr(text)


def replace_lookup(line: SourceLine, node: ast.Subscript) -> Iterator[Mutant]:
    """Replace a failing lookup by a recursive call, or give the lookup an empty default."""
    index = node.slice
    is_computed = isinstance(index, ast.BinOp) or (
        line.lookup_fails and not isinstance(index, ast.Constant | ast.Slice)
    )
    if line.recursive and is_computed:
        yield line.replace(LOOKUP, node, f"{line.recursive}({line.source(index)})")
    if line.lookup_fails and not isinstance(index, ast.Slice):
        container, key = line.source(node.value), line.source(index)
        yield line.replace(-2, node, f'({container}[{key}] if {key} < len({container}) else "")')
        yield line.replace(-2, node, f'{container}.get({key}, "")')


def replace_all_lookups(line: SourceLine, mutants: Sequence[Mutant]) -> Iterator[Mutant]:
    """Apply all `mutants` that replace lookups at once; of nested lookups, only the outer one."""
    outer: list[Mutant] = []
    for mutant in sorted(mutants, key=lambda m: (m.start, -m.end)):
        if not outer or mutant.start >= outer[-1].end:
            outer.append(mutant)
    if len(outer) > 1:
        new = outer[0].new
        for before, mutant in pairwise(outer):
            new += line.bytes[before.end : mutant.start].decode() + mutant.new
        yield Mutant(LOOKUP, outer[0].start, outer[-1].end, new)
