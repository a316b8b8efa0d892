"""Changes of a line of Python of which failing tests tell: edits that lead from what came out to
what was expected, and lookups of what is not there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import pairwise

from localagent.agent.repair.mutation.expected_vs_actual import ONE_TOO_MANY, Edit
from localagent.agent.repair.mutation.line import Line, Mutant, lines_of

LOOKUP = -4
"""The rank of a call in the place of a lookup."""


def in_texts(line: Line, node: ast.AST, number: int, edits: Sequence[Edit]) -> Iterator[Mutant]:
    """Edits in a text that stands on the line; in one with fields, in what is around them."""
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if lines_of(node) != (number, number) or not (is_text or isinstance(node, ast.JoinedStr)):
        return
    assert isinstance(node, ast.expr)
    written = line.of(node)
    for old, new in edits:
        if old and old in written:
            # Where something is only missing, the texts that are joined are the likelier place.
            rank = -2 if old in new else -3
            yield line.instead(rank, node, written.replace(old, new))


def put_in(line: Line, node: ast.AST, missing: str) -> Iterator[Mutant]:
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


def cut(line: Line, node: ast.Return, edits: Sequence[Edit]) -> Iterator[Mutant]:
    """What is too much in what is given back, taken off its end or its start."""
    if node.value is None:
        return
    value = _operand(line, node.value)
    if ONE_TOO_MANY in edits:
        yield line.instead(-2, node.value, f"{value}[:-1]")
    for old in (old for old, new in edits if old and not new):
        yield line.instead(-2, node.value, f"{value}.removesuffix({_quoted(old)})")
        yield line.instead(-1, node.value, f"{value}.removeprefix({_quoted(old)})")


def _operand(line: Line, node: ast.expr, *kinds: type[ast.expr]) -> str:
    """An expression as it can stand beside an operator; those of `kinds` are so as they are."""
    plain = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.JoinedStr, *kinds)
    return line.of(node) if isinstance(node, plain) else f"({line.of(node)})"


def _quoted(text: str) -> str:
    plain = text.isprintable() and not set(text) & set('"\\')
    return f'"{text}"' if plain else repr(text)


def missing_lookups(line: Line, node: ast.Subscript) -> Iterator[Mutant]:
    """The function's own call in the place of a lookup, or nothing where there is nothing."""
    index = node.slice
    works_out = isinstance(index, ast.BinOp) or (
        line.lookup_fails and not isinstance(index, ast.Constant | ast.Slice)
    )
    if line.recursive and works_out:
        yield line.instead(LOOKUP, node, f"{line.recursive}({line.of(index)})")
    if line.lookup_fails and not isinstance(index, ast.Slice):
        there, key = line.of(node.value), line.of(index)
        yield line.instead(-2, node, f'({there}[{key}] if {key} < len({there}) else "")')
        yield line.instead(-2, node, f'{there}.get({key}, "")')


def all_lookups(line: Line, each: Sequence[Mutant]) -> Iterator[Mutant]:
    """Calls in the place of all lookups on the line at once."""
    apart: list[Mutant] = []
    for mutant in sorted(each, key=lambda m: (m.start, -m.end)):
        if not apart or mutant.start >= apart[-1].end:
            apart.append(mutant)
    if len(apart) > 1:
        new = apart[0].new
        for before, mutant in pairwise(apart):
            new += line.bytes[before.end : mutant.start].decode() + mutant.new
        yield Mutant(LOOKUP, apart[0].start, apart[-1].end, new)
