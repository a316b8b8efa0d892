"""Statements inserted at a line of Python: guards, handlers, and statements of other functions.

Real fixes add a check, a handler, or a statement that the same file has in a similar place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from localagent.agent.repair.hints import Expected, Hints
from localagent.agent.repair.line_edits import Mutant, SourceLine
from localagent.agent.repair.parsed_text import Function, ParsedText

_GUARDED = 2  # variables that a guard may test: the nearest ones
_CHECKED = 4  # variables that a guard with an expected exception may test
_TYPES = ("str", "int", "bytes", "(str, bytes)", "(int, float)", "dict", "list", "tuple")
_EXPECTED, _HANDLER, _RETURN, _EARLY, _INDENT, _DONOR = 2, 4, 9, 10, 9, 11  # ranks


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
            raising = f"{step}{_raise(expected, line)}"
            yield inserted(_EXPECTED + place // 8, f"if {condition}:", raising)
    yield from _handlers(line, statement, line.raised, indent, step)
    for name in line.variables[:_GUARDED]:
        for test in (f"{name} is None", f"not {name}"):
            actions = [f"return {name}", "return None", "return False"]
            for action in [*actions, "continue"] if line.in_loop else actions:
                yield inserted(_EARLY, f"if {test}: {action}")
    known = frozenset(line.variables)
    if function is not None and function.args.args:
        known |= {function.args.args[0].arg}
    for text in line.ingredients.donated(number, known):
        yield inserted(_DONOR, *text.replace("    ", step).splitlines())
    if isinstance(statement, ast.Return) and statement.end_lineno == number:
        for text in line.ingredients.donated(number, known, returns=True):
            yield line.replace(_RETURN, statement, text)


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


def _raise(expected: Expected, line: SourceLine) -> str:
    name = expected.name if expected.name in line.ingredients.module_names else "ValueError"
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
