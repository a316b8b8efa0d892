"""Puts changed source lines into the functions of a running interpreter, without a new import.

A change inside of functions replaces their code objects (`__code__`). So decorated functions,
methods, and names that other modules imported all change. Code that ran at import stays as it was,
so any change of such code is refused.

The module runs in the project's own interpreter. So it uses only the standard library and supports
old Python versions.
"""

import __future__

import ast
import gc
import os
import tokenize
import types
import warnings
from typing import Any, Dict, List, Optional, Tuple  # the generic types of older Python versions

_FUTURES = 0
for _name in __future__.all_feature_names:
    _FUTURES |= getattr(__future__, _name).compiler_flag
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Key = Tuple[Any, ...]
Swap = Tuple[List[types.FunctionType], types.CodeType]


class Refused(Exception):
    """The change cannot be put into a running interpreter."""


class Swapper:
    """Swaps code in all functions that exist at the time of the constructor's call."""

    def __init__(self) -> None:
        self._functions = {}  # type: Dict[str, Dict[Key, List[types.FunctionType]]]
        self._sources = {}  # type: Dict[str, _Source]
        for found in gc.get_objects():
            if isinstance(found, types.FunctionType):
                code = found.__code__
                by_key = self._functions.setdefault(code.co_filename, {})
                by_key.setdefault(_key(code), []).append(found)

    def prepare(self, path: str) -> None:
        """Read and parse a file ahead of its changes."""
        if path not in self._sources:
            same = os.path.realpath(path)
            names = [name for name in self._functions if os.path.realpath(name) == same]
            self._sources[path] = _Source(path, names[0] if names else path)

    def swap(self, path: str, first: int, last: int, new: List[str]) -> List[types.CodeType]:
        """Replace the lines from `first` up to but not including `last` (from 0) of a file.

        Returns the replaced code. Raises Refused or SyntaxError, and then swaps nothing.
        """
        self.prepare(path)
        source = self._sources[path]
        before, after = source.compile(first, last, new)
        swaps = []  # type: List[Swap]
        self._compare(before, after, False, swaps)
        if not swaps:
            raise Refused("no function changes")
        replaced = [function.__code__ for functions, _ in swaps for function in functions]
        for functions, code in swaps:
            for function in functions:
                function.__code__ = code
        return replaced

    def _compare(
        self, old: types.CodeType, new: types.CodeType, inside: bool, swaps: List[Swap]
    ) -> None:
        """Collect the swaps that turn `old` into `new`; `inside` a function that is swapped."""
        if old == new:
            return
        functions = self._functions.get(old.co_filename, {}).get(_key(old), [])
        if functions:
            if old.co_freevars != new.co_freevars:
                raise Refused("a closure changes")
            swaps.append((functions, new))
        elif not inside and _instructions(old) != _instructions(new):
            raise Refused("code that ran at import changes")
        others = _nested(new)
        for name, code in _nested(old).items():
            if name in others:
                self._compare(code, others[name], inside or bool(functions), swaps)


class _Source:
    """A file's lines, and what it takes to compile a part of them."""

    def __init__(self, path: str, filename: str) -> None:
        with tokenize.open(path) as file:
            self.lines = file.read().split("\n")
        self._filename = filename
        self._tree = ast.parse("\n".join(self.lines))
        whole = compile(self._tree, filename, "exec", 0, True)
        self._flags = whole.co_flags & _FUTURES
        self._before = {}  # type: Dict[Tuple[int, int], types.CodeType]

    def compile(
        self, first: int, last: int, new: List[str]
    ) -> Tuple[types.CodeType, types.CodeType]:
        """The code before and after a change: of one function, or of the whole file."""
        classes, function = self._enclosing(first, last)
        if function is None:
            place, unit = (0, len(self.lines)), list(self.lines)
        else:
            place = _lines_of(function)
            unit = [""] * len(self.lines)
            for node in classes:
                line = self.lines[node.lineno - 1]
                unit[node.lineno - 1] = line[: len(line) - len(line.lstrip())] + (
                    "class %s:" % node.name
                )
            unit[place[0] : place[1]] = self.lines[place[0] : place[1]]
        if place not in self._before:
            self._before[place] = self._compiled(unit)
        return self._before[place], self._compiled(unit[:first] + new + unit[last:])

    def _compiled(self, lines: List[str]) -> types.CodeType:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile("\n".join(lines), self._filename, "exec", self._flags, True)
        assert isinstance(code, types.CodeType)
        return code

    def _enclosing(self, first: int, last: int) -> Tuple[List[ast.ClassDef], Optional[ast.AST]]:
        """The function that contains the lines, unless it is the last line's end, and its
        classes."""
        classes = []  # type: List[ast.ClassDef]
        body = self._tree.body
        while True:
            for node in body:
                start, end = _lines_of(node)
                if isinstance(node, _DEFINITIONS) and start <= first < end and last <= end:
                    break
            else:
                return classes, None
            if not isinstance(node, ast.ClassDef):
                return classes, node
            if len(node.body) == 0 or node.lineno == node.body[0].lineno:
                return classes, None
            classes.append(node)
            body = node.body


def _lines_of(node: Any) -> Tuple[int, int]:
    """The first line (from 0), decorators included, and the line after the last one."""
    decorators = [part.lineno for part in getattr(node, "decorator_list", [])]
    return min([node.lineno, *decorators]) - 1, node.end_lineno


def _key(code: types.CodeType) -> Key:
    """What tells a file's functions apart.

    The bytecode is no part of it: the same function compiles to other bytecode if the module's
    imports are not compiled with it.
    """
    return code.co_name, code.co_firstlineno, code.co_freevars, code.co_varnames, code.co_names


def _nested(code: types.CodeType) -> Dict[Tuple[str, int], types.CodeType]:
    """The code objects in a code object, by name and place among those of the same name."""
    found = {}  # type: Dict[Tuple[str, int], types.CodeType]
    counts = {}  # type: Dict[str, int]
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            counts[const.co_name] = counts.get(const.co_name, 0) + 1
            found[const.co_name, counts[const.co_name]] = const
    return found


def _instructions(code: types.CodeType) -> Tuple[Any, ...]:
    """What a code object does itself, without nested code objects and line numbers."""
    consts = []
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            consts.append(("code", const.co_name))
        elif type(const) is int and const == code.co_firstlineno:
            consts.append(("line", ""))  # a class knows its first line since Python 3.13
        else:
            consts.append((type(const).__name__, repr(const)))
    return (
        code.co_code,
        code.co_names,
        consts,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
    )
