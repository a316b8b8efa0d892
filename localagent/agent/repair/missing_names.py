"""Definitions and parameters that failing tests use and that no file has yet, as in a feature
whose tests are written first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.parsed_text import parse

_NO_ATTRIBUTE = re.compile(r"module '(?P<module>[\w.]+)' has no attribute '(?P<name>\w+)'")
_NO_PARAMETER = re.compile(r"\b([\w.]+)\(\) got an unexpected keyword argument '(\w+)'")
_NO_IMPORT = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'")


@dataclass(frozen=True, slots=True)
class MissingName:
    """A name that `path` should define."""

    path: str
    name: str


@dataclass(frozen=True, slots=True)
class MissingParameter:
    """A parameter that `function`, a qualified name, should have."""

    function: str
    name: str


def missing_parameters(result: CheckResult | None) -> list[MissingParameter]:
    """The parameters that failing tests pass by name and functions lack, in the tests' order."""
    messages = [test.message for test in result.failing] if result is not None else []
    found = (
        MissingParameter(*m.groups()) for text in messages for m in _NO_PARAMETER.finditer(text)
    )
    return list(dict.fromkeys(found))


def missing_names(result: CheckResult | None, files: Sequence[str]) -> list[MissingName]:
    """The names that failing tests miss in modules of the workspace, in the tests' order."""
    if result is None:
        return []
    found = dict.fromkeys(
        MissingName(path, match["name"])
        for test in result.failing
        for pattern in (_NO_ATTRIBUTE, _NO_IMPORT)
        for match in pattern.finditer(test.message)
        for path in _paths(match["module"], files)
    )
    return list(found)


def imported_names(path: str, text: str, tests: Sequence[str]) -> list[str]:
    """The names that the texts of tests import from the module `path`, and that it does not set."""
    tree = parse(text)
    nodes = list(ast.walk(tree)) if tree is not None else []
    known = {str(getattr(node, "name", getattr(node, "id", ""))) for node in nodes}
    names: dict[str, None] = {}
    for test in tests:
        for node in ast.walk(parse(test) or ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and node.module and is_module(path, node.module):
                names |= {alias.name: None for alias in node.names}
    return [name for name in names if name not in known]


def _paths(module: str, files: Sequence[str]) -> Iterator[str]:
    """The file of a module, if just one file may be it; packages count by their `__init__.py`."""
    hits = [path for path in files if is_module(path, module)]
    if len(hits) == 1:
        yield hits[0]


def is_module(path: str, module: str) -> bool:
    """Whether `path` may be the file of a module with this dotted name."""
    tail = module.replace(".", "/")
    return any(
        path == name or path.endswith(f"/{name}") for name in (f"{tail}.py", f"{tail}/__init__.py")
    )
