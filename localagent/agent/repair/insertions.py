"""Statements inserted at a line of Python: guards, handlers, and statements of other functions.

Real fixes add a check, a handler, or a statement that the same file has in a similar place (Barr et
al., "The plastic surgery hypothesis", FSE 2014).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from localagent.agent.repair.hints import Expected, Hints
from localagent.agent.repair.line_edits import Mutant, SourceLine
from localagent.agent.repair.parsed_text import Function, ParsedText
from localagent.agent.repair.suspects import words

_GUARDED = 2  # variables that a guard may test: the nearest ones
_CHECKED = 4  # variables that a guard with an expected exception may test
_TYPES = ("str", "int", "bytes", "(str, bytes)", "(int, float)", "dict", "list", "tuple")
_DONATED = 12  # statements of other functions that a line may get
_DONATED_CHARS = 160  # the longest of them
_EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_EXPECTED, _HANDLER, _EARLY, _INDENT, _DONOR = 2, 4, 10, 9, 11  # ranks


@dataclass(frozen=True, slots=True)
class _Donor:
    """A statement of a function, the names that it needs, and the words of the function's name."""

    function: Function
    text: str
    needs: frozenset[str]
    words: frozenset[str]
    leaves_loop: bool


def insertions(parsed: ParsedText, line: SourceLine, number: int, hints: Hints) -> Iterator[Mutant]:
    """The mutants that insert a statement before the one that begins on the line."""
    statement = parsed.statement(number)
    if statement is None:
        return
    column = statement.col_offset
    indent = line.bytes[:column].decode()
    step = "\t" if indent.startswith("\t") else "    "
    yield Mutant(_INDENT, 0, column, indent.removesuffix(step))
    yield Mutant(_INDENT, 0, column, indent + step)

    def inserted(rank: int, *lines: str) -> Mutant:
        return Mutant(rank, column, column, "".join(f"{text}\n{indent}" for text in lines))

    function = parsed.function(number)
    for place, condition in enumerate(_conditions(line, function) if hints.expected else ()):
        for expected in hints.expected[:1]:
            raising = f"{step}{_raise(expected, parsed)}"
            yield inserted(_EXPECTED + place // 8, f"if {condition}:", raising)
    yield from _handlers(line, statement, hints.raised.get(number, ""), indent, step)
    for name in line.variables[:_GUARDED]:
        for test in (f"{name} is None", f"not {name}"):
            actions = [f"return {name}", "return None", "return False"]
            for action in [*actions, "continue"] if line.in_loop else actions:
                yield inserted(_EARLY, f"if {test}: {action}")
    for text in _donated(parsed, line, function):
        yield inserted(_DONOR, *text.replace("    ", step).splitlines())


def _conditions(line: SourceLine, function: Function | None) -> Iterator[str]:
    """Conditions that may have to raise: types and values of variables, negated asserts."""
    for node in ast.walk(function) if function is not None else ():
        if isinstance(node, ast.Assert):
            yield f"not ({ast.unparse(node.test)})"
    names = line.variables[:_CHECKED]
    yield from (f"{name} is None" for name in names)
    yield from (f"not {name}" for name in names)
    yield from (f"{name} < 0" for name in names)
    yield from (f"not isinstance({name}, {kind})" for kind in _TYPES for name in names)
    yield from (f"{name} <= 0" for name in names)
    yield from (f"isinstance({name}, bool)" for name in names)
    yield from (f"not callable({name})" for name in names)
    yield from names


def _raise(expected: Expected, parsed: ParsedText) -> str:
    name = expected.name if expected.name in parsed.module_names else "ValueError"
    return f"raise {name}({expected.message or 'invalid value'!r})"


def _handlers(
    line: SourceLine, statement: ast.stmt, raised: str, indent: str, step: str
) -> Iterator[Mutant]:
    """The statement in a `try` with a handler for the exception that it raised in a test."""
    simple = isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign | ast.Return)
    if not raised or not simple or statement.end_lineno != statement.lineno:
        return
    actions = ["return None", "return False"]
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        actions = [f"{name} = None", *(["continue"] if line.in_loop else []), *actions]
    elif not isinstance(statement, ast.Return):
        actions = ["pass", *(["continue"] if line.in_loop else []), *actions]
    actions += [f"return {name}" for name in line.variables[:_GUARDED]]
    for action in dict.fromkeys(actions):
        text = f"try:\n{indent}{step}{line.source(statement)}\n"
        handler = f"{indent}except {raised}:\n{indent}{step}{action}"
        yield line.replace(_HANDLER, statement, text + handler)


def _donated(parsed: ParsedText, line: SourceLine, function: Function | None) -> Sequence[str]:
    """Statements of other functions that can run here; those of similar functions come first."""
    if function is None:
        return []
    known = parsed.module_names.union(line.variables)
    known |= {argument.arg for argument in function.args.args[:1]}
    name = words(function.name)
    scores: Counter[str] = Counter()
    inside: set[str] = set()
    for donor in _donors(parsed):
        if donor.function is function:
            inside.add(donor.text)
        elif donor.needs <= known and (line.in_loop or not donor.leaves_loop):
            scores[donor.text] += 1 + 4 * len(donor.words & name)
    for text in inside:
        del scores[text]
    return [text for text, _ in scores.most_common(_DONATED)]


@lru_cache(maxsize=4)
def _donors(parsed: ParsedText) -> list[_Donor]:
    """The calls, assignments and guards of all functions of a file."""
    donors = []
    for function in parsed.functions:
        name = words(function.name)
        for node in ast.walk(function):
            if isinstance(node, ast.stmt) and _can_donate(node):
                text = ast.unparse(node)
                names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
                leaves = any(isinstance(n, ast.Continue | ast.Break) for n in ast.walk(node))
                if len(text) <= _DONATED_CHARS:
                    donors.append(
                        _Donor(function, text, frozenset(n.id for n in names), name, leaves)
                    )
    return donors


def _can_donate(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            return True
        case ast.Assign(value=ast.expr() as value):
            return not isinstance(value, ast.Constant)
        case ast.If(body=[ast.stmt() as only], orelse=[]):
            return isinstance(only, _EXITS) or _can_donate(only)
    return False
