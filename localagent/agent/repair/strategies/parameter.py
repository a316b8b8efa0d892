"""Give a function the parameter that failing tests pass to it, and hand the parameter on.

Tests that come before the code often pass a new argument. The function then takes it, and calls in
its body pass it on, or an `__init__` keeps it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import islice

from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Base, Board, Draft
from localagent.agent.repair.missing_names import missing_parameters
from localagent.agent.repair.parsed_text import Function
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.core.errors import EditError
from localagent.edits.python_definitions import definitions

_NAME = "parameter"
_Insertion = tuple[tuple[int, int], str]
"""A line, a column in bytes, and the text to insert there."""


def missing_parameter(_turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Add each missing parameter alone, then with one call that passes it on."""
    missing = missing_parameters(problem.start)
    if not missing or problem.start is None or not problem.language.can("structural_edit"):
        return
    try:
        known = definitions(problem.text)
    except EditError:
        return
    base = Base(problem.text, problem.start)
    for each in missing:
        for one in known:
            if isinstance(one.node, Function) and one.name == each.function:
                texts = islice(with_parameter(problem.text, one.node, each.name), SEARCH.parameters)
                yield [Draft.of_text(_NAME, text, base) for text in texts]


def with_parameter(text: str, function: Function, name: str) -> Iterator[str]:
    """The texts with a new parameter, which one call passes on, `__init__` keeps, or nothing uses.

    Calls that pass on most of the function's parameters come first. Empty if the function has the
    parameter.
    """
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    arguments = function.args
    own = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    if name in own or arguments.kwarg is not None:
        return
    parameter = _new_parameter(lines, function, name)
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    calls = [node for node in nodes if node.args or node.keywords]
    for call in sorted(calls, key=lambda node: -len(own & _names(node))):
        yield _inserted(lines, parameter, (_end([*call.args, *call.keywords]), f", {name}={name}"))
    if function.name == "__init__":
        indent = " " * function.body[0].col_offset
        kept = f"\n{indent}self.{name} = {name}"
        yield _inserted(lines, parameter, (_end(function.body), kept))
    yield _inserted(lines, parameter)


def _new_parameter(lines: Sequence[bytes], function: Function, name: str) -> _Insertion:
    """Where the parameter goes, and its text; its default is None."""
    arguments = function.args
    known: list[ast.expr | ast.arg] = [
        *(*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs),
        *([arguments.vararg] if arguments.vararg else []),
        *(*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)),
    ]
    if known:
        return _end(known), f", {name}=None"
    head = lines[function.lineno - 1]
    return (function.lineno, head.index(b"(", function.col_offset) + 1), f"{name}=None"


def _end(nodes: Sequence[ast.expr | ast.arg | ast.keyword | ast.stmt]) -> tuple[int, int]:
    """The line and the column in bytes after the last of the nodes."""
    return max((node.end_lineno or 0, node.end_col_offset or 0) for node in nodes)


def _names(call: ast.Call) -> set[str]:
    return {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}


def _inserted(lines: Sequence[bytes], *insertions: _Insertion) -> str:
    new = list(lines)
    for (line, column), part in sorted(insertions, reverse=True):
        new[line - 1] = new[line - 1][:column] + part.encode() + new[line - 1][column:]
    return b"".join(new).decode()
