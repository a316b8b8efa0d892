"""Detects passed checks that prove nothing: hard-coded answers, untested or missing code.

The model reads the tests that later judge its code. So a candidate could pass by returning each
test's expected value for that test's input. The search refuses a candidate with two such special
cases, unless their values are trivial (zero, an empty text, a short word).
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterable, Iterator, Sequence

from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.core.changes import Change

Value = str | int | float | bytes


def special_cases(text: str, tests: Iterable[str]) -> int:
    """How many of the tests' values `text` maps to other values of the tests.

    A special case is a comparison (`if x == "…": return "…"`, `case "…": return "…"`) or a row of a
    table. The result is 0 if `text` does not parse.
    """
    tree = _parse(text)
    if tree is None:
        return 0
    known: set[Value] = set()
    for test in tests:
        for node in ast.walk(_parse(test) or ast.Module([], [])):
            value = _value(node)
            known.update([] if value is None else [value])
    return sum(left in known and right in known for left, right in _pairs(tree))


def is_overfit(text: str, tests: Iterable[str]) -> bool:
    """Whether `text` has more special cases than a program without hard-coded answers."""
    return special_cases(text, tests) > SEARCH.special_cases


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _value(node: ast.AST | None) -> Value | None:
    """The value of a constant node; None for a trivial constant and for other nodes."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    value = node.value
    if isinstance(value, int | float):
        return value if abs(value) > SEARCH.plain_number else None
    if isinstance(value, str | bytes):
        return value if len(value) >= SEARCH.plain_text else None
    return None


def _pairs(tree: ast.AST) -> Iterator[tuple[Value, Value]]:
    """Each value that the code compares with, paired with the value that it then returns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If):
            yield from _combine(_compared(node.test), _returned(node.body))
        elif isinstance(node, ast.match_case) and isinstance(node.pattern, ast.MatchValue):
            yield from _combine([_value(node.pattern.value)], _returned(node.body))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                yield from _combine([_value(key)], [_value(value)])


def _compared(test: ast.expr) -> list[Value | None]:
    """The constants with which a condition compares by `==` or `in`."""
    constants: list[Value | None] = []
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.In):
            for side in (node.left, *node.comparators):
                parts = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
                constants += [_value(part) for part in parts]
    return constants


def _returned(body: list[ast.stmt]) -> list[Value | None]:
    """The constants that a branch returns, if the branch only returns."""
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return []
    value = body[0].value
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return [_value(part) for part in parts]


def _combine(
    lefts: Iterable[Value | None], rights: Iterable[Value | None]
) -> Iterator[tuple[Value, Value]]:
    right = next((value for value in rights if value is not None), None)
    for left in lefts:
        if left is not None and right is not None:
            yield left, right


def undefined_name(names: Sequence[str], changes: Sequence[Change]) -> str:
    """The first of the names that no changed Python file defines; "" if all are, or unknown."""
    defined: set[str] = set()
    for change in changes if names else ():
        tree = _parse(change.data.decode("utf-8", "replace"))
        if tree is None or not change.path.endswith(".py"):
            return ""
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    return next((name for name in names if name not in defined), "")


def is_untested(path: str, old: str, new: str, result: CheckResult | None) -> bool:
    """Whether no test ran any of the statements that a change added to a Python file's functions.

    False if the answer is unknown because no test was traced. Also False if only code outside
    functions changed, because such code runs at import. A change of spaces alone is untested.
    """
    tree = _parse(new)
    if tree and old != new and "".join(old.split()) == "".join(new.split()):
        before = _parse(old)
        if before and ast.dump(tree) == ast.dump(before):
            return True
    if result is None or not any(test.lines for test in result.tests):
        return False
    changed = set(_new_lines(old, new)).intersection(_statement_lines(tree) if tree else ())
    ran = {n for test in result.tests for n in test.lines.get(path, ())}
    return bool(changed) and not changed & ran


def _statement_lines(tree: ast.AST) -> Iterator[int]:
    """The first lines of the statements in functions, without docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in node.body:
                for inner in ast.walk(part):
                    if isinstance(inner, ast.stmt) and not _is_text(inner):
                        yield inner.lineno


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _new_lines(old: str, new: str) -> Iterator[int]:
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind != "equal":
            yield from range(start + 1, end + 1)
