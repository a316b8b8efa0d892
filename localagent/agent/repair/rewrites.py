"""Less likely changes of one line of Python: wrapped names, tests for None, deletions.

They come after the changes of `mutations`, and pay only where a check takes hundredths of a second.
The kinds are those that automated repair reports as frequent in real fixes: conditions, wrapped
expressions, arguments and deleted statements (Kim et al., "Automatic patch generation
learned from human-written patches", ICSE 2013).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from localagent.agent.repair.ingredients import call_name
from localagent.agent.repair.line_edits import Mutant, SourceLine
from localagent.agent.repair.parsed_text import Part

_SIMPLE = ast.Name | ast.Attribute | ast.Call | ast.Subscript
_TEXT_METHODS = ("strip()", "lower()", "rstrip()", "lstrip()", "copy()")
_VIEWS = ("values()", "items()", "keys()")
_WRAPPERS = ("str", "len", "list", "int", "bool", "tuple", "sorted", "abs")
_DELETABLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.Raise, ast.Return, ast.Delete)
_NUMBERS = (-1, 0, 1, 2, 3, 4, 5, 6, 8, 10, 16, 32, 60, 64, 100, 255, 256, 1000, 1024)
_EXCEPTIONS = (
    *("ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "OverflowError"),
    *("UnicodeError", "OSError", "StopIteration", "ZeroDivisionError", "Exception"),
)
_TYPES = ("list", "tuple", "str", "bytes", "int", "float", "dict", "set", "bool")
_REGEX_CALL = re.compile(rb"\bre\.\w+\(")
_TEXT_LITERAL = re.compile(r"""([rRbBuU]*)("|')(.*)\2""")
_ANY_CHARACTER = re.compile(r"(?<![\\\[])\.(?![*+?{])")
_REPETITION = re.compile(r"(?<!\\)[*+](?!\?)")
_NEAR = 3  # variables that a call may get as one more argument
_CALLED = 24  # functions of the file that a value may be given to


def rewrites(
    line: SourceLine, nodes: Sequence[ast.AST], parts: Sequence[tuple[Part, ast.expr]]
) -> Iterator[Mutant]:
    """All mutants of the `nodes` on a line, and of the `parts` of statements that go on below."""
    for node in nodes:
        match node:
            case ast.Compare():
                yield from _comparison(line, node)
            case ast.BoolOp():
                yield from _boolean(line, node)
            case ast.Call():
                yield from _arguments(line, node)
            case ast.BinOp():
                yield line.replace(7, node, line.source(node.left))
                yield line.replace(7, node, line.source(node.right))
            case ast.Tuple(elts=elements):
                yield from (line.swap(6, *pair) for pair in pairwise(elements))
            case ast.Name(ctx=ast.Load()) if node.id in line.members:
                members = line.members[node.id]
                yield from (line.replace(9, node, f"{node.id}.{name}") for name in members)
            case ast.Attribute(ctx=ast.Load(), value=ast.Name(id="self" | "cls")):
                others = (name for name in line.attributes if name != node.attr)
                owner = line.source(node.value)
                yield from (line.replace(8, node, f"{owner}.{name}") for name in others)
            case ast.Attribute(ctx=ast.Load()):
                yield from _attribute(line, node)
            case ast.Subscript(slice=ast.Slice()):
                yield from _slice(line, node)
            case ast.Return(value=ast.expr()):
                yield from _return(line, node)
            case ast.Assign():
                yield from _wrapped(line, 8, node.value)
            case ast.Constant(value=str()):
                yield from _pattern(line, node)
            case ast.Constant(value=int()) if not isinstance(node.value, bool):
                numbers = [*line.ingredients.numbers, *_NUMBERS]
                yield from (line.replace(9, node, str(number)) for number in numbers)
        if isinstance(node, _DELETABLE):
            yield line.replace(7, node, "pass")
    for part, expression in parts:
        if part == "test":
            yield from _condition(line, expression)
        elif part == "handler":
            yield from _one_more(line, 3, expression, _EXCEPTIONS)
        elif part == "value":
            yield from _wrapped(line, 9, expression)
            yield from _called(line, 11, expression)
        else:
            yield from _iterable(line, expression)


def _comparison(line: SourceLine, node: ast.Compare) -> Iterator[Mutant]:
    yield from _wrapped(line, 7, node.left)
    for operand in node.comparators:
        yield from _wrapped(line, 7, operand)
    match node:
        case ast.Compare(ops=[ast.Is()], comparators=[ast.Constant(value=None)]):
            yield line.replace(5, node, f"not {line.source(node.left)}")
        case ast.Compare(ops=[ast.IsNot()], comparators=[ast.Constant(value=None)]):
            yield line.replace(5, node, line.source(node.left))


def _boolean(line: SourceLine, node: ast.BoolOp) -> Iterator[Mutant]:
    if isinstance(node.op, ast.Or) and len(node.values) == 2:
        first, second = map(line.source, node.values)
        if isinstance(node.values[0], ast.Name | ast.Attribute):
            yield line.replace(6, node, f"{first} if {first} is not None else {second}")
    for value in node.values:
        negated = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Not)
        if not negated:
            yield line.replace(6, value, f"not {_operand(line, value)}")
    if len(node.values) > 2:
        word = " and " if isinstance(node.op, ast.And) else " or "
        for left_out in node.values:
            rest = [line.source(value) for value in node.values if value is not left_out]
            yield line.replace(5, node, word.join(rest))


def _condition(line: SourceLine, test: ast.expr) -> Iterator[Mutant]:
    text = line.source(test)
    if isinstance(test, ast.Name | ast.Attribute | ast.Call):
        yield line.replace(4, test, f"{text} is not None")
        yield line.replace(5, test, f"{text} is None")
        yield from _wrapped(line, 7, test)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield line.replace(4, test, f"{_operand(line, test.operand)} is None")
    whole = f"({text})" if isinstance(test, ast.BoolOp | ast.IfExp) else text
    for name in line.variables:
        if name != text:
            yield line.replace(8, test, f"{whole} and {name}")
            yield line.replace(8, test, f"{whole} or {name}")
            yield line.replace(8, test, f"{whole} and not {name}")
            yield line.replace(8, test, f"{whole} or not {name}")
            yield line.replace(9, test, name)
            yield line.replace(9, test, f"not {name}")
    yield line.replace(8, test, "True")
    yield line.replace(8, test, "False")


def _arguments(line: SourceLine, node: ast.Call) -> Iterator[Mutant]:
    if any(isinstance(argument, ast.Starred) for argument in node.args):
        return
    yield from _added_arguments(line, node)
    if call_name(node) in ("isinstance", "issubclass") and len(node.args) == 2:
        yield from _more_types(line, node.args[1])
    for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
        yield from _wrapped(line, 9, value)
    if len(node.args) > 2:
        yield from (line.swap(6, *pair) for pair in pairwise(node.args))
    for first, second in pairwise([*node.args, *(k.value for k in node.keywords)]):
        if second in node.args:
            yield line.between(7, first, second, "")
    if len(node.args) == 1 and not node.keywords and isinstance(node.func, ast.Attribute):
        yield line.replace(7, node, line.source(node.func.value))
    elif len(node.args) == 1 and not node.keywords:
        yield line.replace(7, node, line.source(node.args[0]))
    elif not node.args and not node.keywords and isinstance(node.func, ast.Attribute):
        yield line.replace(6, node, line.source(node.func.value))


def _added_arguments(line: SourceLine, node: ast.Call) -> Iterator[Mutant]:
    """One more argument: a variable that is never used, one that is near, or a known keyword."""
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    last, name = values[-1] if values else None, call_name(node)

    def added(rank: int, argument: str) -> Mutant:
        if last is None:
            return line.replace(rank, node, f"{line.source(node.func)}({argument})")
        return line.replace(rank, last, f"{line.source(last)}, {argument}")

    for unused in line.unused:
        yield added(4, unused)
        yield added(4, f"{unused}={unused}")
    if name == "next" and len(values) == 1:
        yield added(4, "None")
    given_elsewhere = line.ingredients.last_arguments.get((name, len(node.args)), [])
    if not node.keywords:
        yield from (added(5, value) for value in given_elsewhere)
    given = {keyword.arg for keyword in node.keywords}
    for keyword, known in line.ingredients.keywords.get(name, {}).items():
        if keyword not in given:
            yield from (added(8, f"{keyword}={value}") for value in known)
    yield from (added(10, near) for near in line.variables[:_NEAR])


def _more_types(line: SourceLine, node: ast.expr) -> Iterator[Mutant]:
    """A test for one more type, or for one less."""
    yield from _one_more(line, 6, node, _TYPES)
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        yield from (line.replace(7, node, line.source(only)) for only in node.elts)


def _one_more(
    line: SourceLine, rank: int, node: ast.expr, names: Sequence[str]
) -> Iterator[Mutant]:
    """A class or a tuple of classes, with one more of the names."""
    known = [line.source(n) for n in (node.elts if isinstance(node, ast.Tuple) else [node])]
    for name in names:
        if name not in known:
            yield line.replace(rank, node, f"({', '.join([*known, name])})")


def _pattern(line: SourceLine, node: ast.Constant) -> Iterator[Mutant]:
    """A regular expression, on a line that uses one, with its dots escaped or with its ends set."""
    text = line.source(node)
    if not _REGEX_CALL.search(line.bytes) or not (parts := _TEXT_LITERAL.fullmatch(text)):
        return
    prefix, quote, inner = parts.groups()
    escape = "\\" if "r" in prefix.lower() else "\\\\"

    def changed(rank: int, new: str) -> Mutant:
        return line.replace(rank, node, f"{prefix}{quote}{new}{quote}")

    yield changed(5, _ANY_CHARACTER.sub(lambda _: f"{escape}.", inner))
    yield changed(6, f"{inner}{escape}Z")
    yield changed(6, inner.removesuffix("$") if inner.endswith("$") else f"{inner}$")
    yield changed(6, inner.removeprefix("^") if inner.startswith("^") else f"^{inner}")
    for found in _REPETITION.finditer(inner):
        start, end = found.span()
        for other in ("*", "+", "?", found[0] + "?"):
            if other != found[0]:
                yield changed(8, inner[:start] + other + inner[end:])


def _attribute(line: SourceLine, node: ast.Attribute) -> Iterator[Mutant]:
    """Other attributes; they come early if the test says that the attribute is missing."""
    owner, rank = line.source(node.value), 3 if line.raised == "AttributeError" else 10
    for name in line.ingredients.other_attributes(node):
        yield line.replace(rank, node, f"{owner}.{name}")
    yield line.replace(9, node, owner)


def _slice(line: SourceLine, node: ast.Subscript) -> Iterator[Mutant]:
    part = node.slice
    assert isinstance(part, ast.Slice)
    value = line.source(node.value)
    lower = line.source(part.lower) if part.lower else ""
    upper = line.source(part.upper) if part.upper else ""
    for other in ("[1:]", "[:-1]", "[1:-1]"):
        yield line.replace(5, node, value + other)
    if part.step is None and lower and upper:
        yield line.replace(6, node, f"{value}[{lower}:]")
        yield line.replace(6, node, f"{value}[:{upper}]")
    elif part.step is None and (lower or upper):
        yield line.replace(6, node, value)
        yield line.replace(6, node, f"{value}[{upper}:{lower}]")


def _return(line: SourceLine, node: ast.Return) -> Iterator[Mutant]:
    assert node.value is not None
    text = line.source(node.value)
    if isinstance(node.value, ast.Compare | ast.Call | ast.Name | ast.BoolOp):
        yield line.replace(6, node.value, f"not ({text})")
    yield from _wrapped(line, 8, node.value)
    yield from _called(line, 9, node.value)
    if isinstance(node.value, ast.Constant) and node.value.value is None:
        for name in line.unused:
            yield line.replace(4, node.value, name)
            wrappers = (*_WRAPPERS, "bytes", "dict", "set", *line.callables[:_CALLED])
            yield from (line.replace(6, node.value, f"{call}({name})") for call in wrappers)
            methods = line.ingredients.methods
            yield from (line.replace(6, node.value, f"{name}.{method}") for method in methods)
    for name in line.variables:
        if name != text:
            yield line.replace(8, node.value, name)
    for value in ("None", "True", "False", "self"):
        if value != text:
            yield line.replace(9, node.value, value)


def _wrapped(line: SourceLine, rank: int, node: ast.expr) -> Iterator[Mutant]:
    """The expression with a method's call or in a function's call."""
    if not isinstance(node, _SIMPLE):
        return
    text = line.source(node)
    yield from (line.replace(rank, node, f"{text}.{method}") for method in _TEXT_METHODS)
    yield from (line.replace(rank + 1, node, f"{name}({text})") for name in _WRAPPERS)
    yield from (line.replace(rank + 1, node, f"{text}.{view}") for view in _VIEWS)
    methods = line.ingredients.methods
    yield from (line.replace(rank + 2, node, f"{text}.{method}") for method in methods)


def _called(line: SourceLine, rank: int, node: ast.expr) -> Iterator[Mutant]:
    """The expression in a call of one of the file's functions."""
    text = line.source(node)
    yield from (line.replace(rank, node, f"{name}({text})") for name in line.callables[:_CALLED])


def _iterable(line: SourceLine, node: ast.expr) -> Iterator[Mutant]:
    text = line.source(node)
    for name in ("list", "reversed", "sorted", "set"):
        yield line.replace(7, node, f"{name}({text})")
    if isinstance(node, _SIMPLE):
        for part in ("[1:]", "[:-1]", "[::-1]", ".items()", ".values()"):
            yield line.replace(7, node, text + part)


def _operand(line: SourceLine, node: ast.expr) -> str:
    return line.source(node) if isinstance(node, _SIMPLE) else f"({line.source(node)})"
