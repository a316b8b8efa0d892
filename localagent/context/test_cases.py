"""Condense a Python test file to one line a test, for the prompt of a small model.

    from luhn import Luhn
    Luhn('059').valid() is True
    school = School(); school.add('Aimee', 2); school.roster() == ['Aimee']
    steps(0) raises ValueError('Only positive integers are allowed')

A test class, test names, comments and the vocabulary of unittest take two thirds of the tokens of
most test files, and say nothing about the behavior.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TypeGuard

from localagent.core.errors import EditError
from localagent.edits.python_definitions import parse

_OPERATORS = {
    "assertEqual": "==",
    "assertEquals": "==",
    "assertListEqual": "==",
    "assertDictEqual": "==",
    "assertTupleEqual": "==",
    "assertSetEqual": "==",
    "assertSequenceEqual": "==",
    "assertMultiLineEqual": "==",
    "assertNotEqual": "!=",
    "assertIs": "is",
    "assertIsNot": "is not",
    "assertIn": "in",
    "assertNotIn": "not in",
    "assertLess": "<",
    "assertLessEqual": "<=",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
}
_TRUTHS = {
    "assertTrue": "{}",
    "assertFalse": "not {}",
    "assertIsNone": "{} is None",
    "assertIsNotNone": "{} is not None",
}
_RAISES = ("assertRaises", "assertRaisesRegex", "raises")
_SETUP = ("setUp", "setup_method", "setUpClass", "setup_class")
# A longer case shows no new behavior: one exercise has expected values of 80 lines of a song.
_CASE_CHARS = 600
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Case = tuple[str, tuple[str, ...], str]
"""A test's decorators and arguments, the statements that set it up, and its last statement."""


def condense_tests(text: str, failing: Collection[str] = ()) -> str:
    """The tests in `text`, a line each; returns `text` if it does not parse or has no test.

    With `failing`, which holds names of test functions, other tests are left out.
    """
    try:
        code = parse(text)
    except EditError:
        return text
    heads: list[str] = []
    cases: list[_Case] = []
    for node in _definitions(code.body):
        if _is_test(node):
            if not failing or node.name in failing:
                cases.append(_case(node))
        elif isinstance(node, _Function) and node.name in _SETUP:
            heads.append(f"# before each test: {_joined(_statements(node.body))}")
        elif not _is_noise(node):
            heads.append(_unparse(node))
    if not cases:
        return text
    return "\n".join(dict.fromkeys([*heads, *_merged(cases)])) + "\n"


def _definitions(body: Sequence[ast.stmt]) -> Iterable[ast.stmt]:
    """The statements of the module and of its test classes."""
    for node in body:
        if isinstance(node, ast.ClassDef) and any(_is_test(each) for each in node.body):
            yield from node.body
        else:
            yield node


def _is_test(node: ast.stmt) -> TypeGuard[_Function]:
    return isinstance(node, _Function) and node.name.startswith("test")


def _is_noise(node: ast.stmt) -> bool:
    """Whether a statement tells nothing about the behavior: a test runner's import or start."""
    match node:
        case ast.Import(names=names):
            return all(alias.name in ("unittest", "pytest") for alias in names)
        case ast.ImportFrom(module=module):
            return module in ("unittest", "pytest", "__future__")
        case ast.Expr(value=ast.Constant()) | ast.Pass():
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
    return False


def _case(node: _Function) -> _Case:
    """A test's statements, after the decorators that give its values."""
    decorators = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    arguments = ", ".join(arg.arg for arg in node.args.args if arg.arg != "self")
    head = "\n".join([*decorators, f"({arguments}): "]) if arguments or decorators else ""
    *setup, last = _statements(_inlined(node.body)) or [""]
    return head, tuple(setup), last


def _merged(cases: Iterable[_Case]) -> list[str]:
    """A line a case; cases with the same set-up share a line."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for head, setup, last in cases:
        key = (head, setup or (last,))
        groups.setdefault(key, []).extend([last] if setup else [])
    lines = [
        head + _joined([*setup, *dict.fromkeys(ends)]) for (head, setup), ends in groups.items()
    ]
    return [line if len(line) <= _CASE_CHARS else f"{line[:_CASE_CHARS]} …" for line in lines]


def _joined(statements: Sequence[str]) -> str:
    """The statements in one line; a block of statements gets lines of its own."""
    return re.sub(r"(?:; )?\n+(?:; )?", "\n", "; ".join(statements)).strip("\n")


def _unparse(node: ast.stmt) -> str:
    return re.sub(r"\n+", "\n", ast.unparse(node))


def _statements(body: Sequence[ast.stmt]) -> list[str]:
    lines: list[str] = []
    for position, node in enumerate(body):
        if isinstance(node, ast.With) and (error := _raised(node)) is not None:
            raised = _joined(_statements(node.body))
            lines.append(f"{raised} raises {error}{_message(body[position + 1 :])}")
        elif not _is_about_error(node):
            lines.append(_statement(node))
    return [line for line in lines if line]


def _statement(node: ast.stmt) -> str:
    match node:
        case ast.Expr(value=ast.Constant()):
            return ""  # a docstring
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=args)):
            if name in _OPERATORS and len(args) >= 2:
                return f"{ast.unparse(args[0])} {_OPERATORS[name]} {ast.unparse(args[1])}"
            if name in _TRUTHS and args:
                return _TRUTHS[name].format(ast.unparse(args[0]))
            if name in _RAISES and len(args) >= 2:
                call = ast.Call(args[1], list(args[2:]), [])
                return f"{ast.unparse(call)} raises {ast.unparse(args[0])}"
        case ast.Assert(test=test):
            return ast.unparse(test)
        case ast.With() | ast.For() | ast.If() | ast.While() | ast.Try() | ast.FunctionDef():
            return f"\n{_unparse(node)}\n"
    return ast.unparse(node)


def _raised(node: ast.With) -> str | None:
    """The error that a `with` block expects, or None for another block."""
    match node.items:
        case [ast.withitem(context_expr=ast.Call(func=func, args=[error, *rest], keywords=words))]:
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if name in _RAISES:
                texts = [*rest, *(word.value for word in words if word.arg == "match")]
                return ast.unparse(error) + "".join(f" matching {ast.unparse(t)}" for t in texts)
    return None


def _is_about_error(node: ast.stmt) -> bool:
    """Whether a statement looks at an error that an earlier `with` block has caught."""
    return any(isinstance(n, ast.Attribute) and n.attr in _CAUGHT for n in ast.walk(node))


_CAUGHT = ("exception", "excinfo")


def _message(rest: Sequence[ast.stmt]) -> str:
    """The text that the next statements expect in a caught error, in parentheses, or ""."""
    for node in rest:
        if not _is_about_error(node):
            break
        match node:
            case ast.Expr(value=ast.Call(args=[_, ast.Constant(value=str() as text)])):
                return f"({text!r})"
    return ""


def _inlined(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """The statements with each variable put in its place that is set once and used once."""
    statements = list(body)
    uses: dict[str, int] = {}
    stores: dict[str, int] = {}
    for node in statements:
        for each in (n for n in ast.walk(node) if isinstance(n, ast.Name)):
            counts = uses if isinstance(each.ctx, ast.Load) else stores
            counts[each.id] = counts.get(each.id, 0) + 1
    kept: list[ast.stmt] = []
    values: dict[str, ast.expr] = {}
    for node in statements:
        node = _Inline(values).visit(node)
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                uses.get(name) == 1 and stores[name] == 1 and _is_constant(value)
            ):
                values[name] = value
            case _:
                kept.append(node)
    return kept


def _is_constant(node: ast.expr) -> bool:
    """Whether an expression uses no name, so that it means the same in another place."""
    return not any(isinstance(n, ast.Name) for n in ast.walk(node))


class _Inline(ast.NodeTransformer):
    def __init__(self, values: dict[str, ast.expr]) -> None:
        self._values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._values.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
