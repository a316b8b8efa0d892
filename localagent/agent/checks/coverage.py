"""Whether a change was put to the test at all: a check may pass because nothing in it runs the code
that was changed."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from localagent.agent.checks.runner import CheckResult


def is_untested(path: str, old: str, new: str, result: CheckResult | None) -> bool:
    """Whether no test ran any of the statements that are new in the functions of a Python file.

    False where that is not known: without traced tests, or where something outside of functions
    was changed, which runs before the tests do.
    """
    if result is None or not any(test.lines for test in result.tests):
        return False
    try:
        inside = set(_statements(ast.parse(new)))
    except (SyntaxError, ValueError, RecursionError):
        return False
    changed = {n for n in _new_lines(old, new) if n in inside}
    ran = {n for test in result.tests for n in test.lines.get(path, ())}
    return bool(changed) and not changed & ran


def _statements(tree: ast.AST) -> Iterator[int]:
    """The lines on which the statements of functions begin; docstrings are none."""
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
