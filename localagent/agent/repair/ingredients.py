"""Fix ingredients: the names, arguments, numbers and statements of a file that a repair may reuse.

Most of what a fix adds is in the same file already (Barr et al., "The plastic surgery hypothesis",
FSE 2014).
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from localagent.agent.repair.parsed_text import Function, ParsedText
from localagent.agent.word_overlap import words

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_METHODS = 8  # methods without arguments that a value may get: the most frequent of the file
_OTHERS = 20  # other attributes in place of one
_NUMBERS = 24  # other numbers in place of one
_DONATED = 12  # statements of other functions that a line may get
_DONATED_CHARS = 160  # the longest of them
_EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, slots=True)
class _Donor:
    """A statement of a function, the names that it needs, and the words of the function's name."""

    function: Function
    text: str
    needs: frozenset[str]
    words: frozenset[str]
    leaves_loop: bool
    is_return: bool


class Ingredients:
    """What one file offers."""

    def __init__(self, parsed: ParsedText) -> None:
        self._parsed = parsed
        self._nodes = list(ast.walk(parsed.tree)) if parsed.tree is not None else []
        self._calls = [node for node in self._nodes if isinstance(node, ast.Call)]
        self._arguments = {id(call.func): _argument_count(call) for call in self._calls}

    @cached_property
    def module_names(self) -> frozenset[str]:
        """The names that the module's statements set, and the builtins."""
        names = set(dir(builtins))
        for node in self._parsed.tree.body if self._parsed.tree is not None else ():
            for inner in ast.walk(node) if not isinstance(node, _SCOPES) else [node]:
                match inner:
                    case ast.Import() | ast.ImportFrom():
                        names |= {(a.asname or a.name).partition(".")[0] for a in inner.names}
                    case ast.Name(ctx=ast.Store()):
                        names.add(inner.id)
                    case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                        names.add(inner.name)
        return frozenset(names)

    @cached_property
    def keywords(self) -> dict[str, dict[str, list[str]]]:
        """The keyword arguments that the file gives to each function, with their short values."""
        found: dict[str, dict[str, list[str]]] = {}
        for call in self._calls:
            for keyword in call.keywords:
                value = ast.unparse(keyword.value)
                if keyword.arg and isinstance(keyword.value, ast.Constant | ast.Name):
                    values = found.setdefault(call_name(call), {}).setdefault(keyword.arg, [])
                    values += [value] if value not in values else []
        return found

    @cached_property
    def last_arguments(self) -> dict[tuple[str, int], list[str]]:
        """The short last arguments of calls, by the function's name and the arguments before."""
        found: dict[tuple[str, int], list[str]] = {}
        for call in self._calls:
            if call.args and isinstance(call.args[-1], ast.Constant | ast.Name | ast.Tuple):
                values = found.setdefault((call_name(call), len(call.args) - 1), [])
                value = ast.unparse(call.args[-1])
                values += [value] if value not in values else []
        return found

    @cached_property
    def methods(self) -> list[str]:
        """The methods that the file calls without arguments, the most frequent first."""
        calls = (node for node in self._calls if not node.args and not node.keywords)
        names = (node.func.attr for node in calls if isinstance(node.func, ast.Attribute))
        return [f"{name}()" for name, _ in Counter(names).most_common(_METHODS)]

    @cached_property
    def called(self) -> list[str]:
        """The imported functions that the file calls, the most frequent first."""
        local = {f.name for f in self._parsed.functions}
        names = (node.func.id for node in self._calls if isinstance(node.func, ast.Name))
        known = (n for n in names if n in self.module_names and n not in local)
        return [name for name, _ in Counter(known).most_common() if not hasattr(builtins, name)]

    @cached_property
    def numbers(self) -> list[int]:
        """The file's whole numbers, the most frequent first."""
        values = (node.value for node in self._nodes if isinstance(node, ast.Constant))
        counts = Counter(v for v in values if isinstance(v, int) and not isinstance(v, bool))
        return [number for number, _ in counts.most_common(_NUMBERS)]

    def other_attributes(self, node: ast.Attribute) -> list[str]:
        """The attributes that the file uses as this one is used, the most frequent first."""
        names = self._attributes.get(self._arguments.get(id(node)), Counter())
        return [name for name, _ in names.most_common(_OTHERS + 1) if name != node.attr][:_OTHERS]

    @cached_property
    def _attributes(self) -> dict[int | None, Counter[str]]:
        """How often the file has each attribute, by the number of arguments if it is called."""
        found: dict[int | None, Counter[str]] = {}
        for node in self._nodes:
            if isinstance(node, ast.Attribute):
                found.setdefault(self._arguments.get(id(node)), Counter())[node.attr] += 1
        return found

    def donated(self, line: int, known: frozenset[str], *, returns: bool = False) -> list[str]:
        """Statements of other functions that can run at a line where the names `known` are set.

        Those of functions with similar names come first, with this function's name in place of
        theirs. With `returns`, they are return statements.
        """
        function = self._parsed.function(line)
        if function is None:
            return []
        known, name = known | self.module_names, words(function.name)
        in_loop = self._parsed.in_loop(line)
        scores: Counter[str] = Counter()
        inside: set[str] = set()
        for donor in self._donors:
            if donor.function is function:
                inside.add(donor.text)
            elif donor.is_return == returns and donor.needs <= known:
                theirs = rf"\b{re.escape(donor.function.name)}\b"
                text = re.sub(theirs, function.name, donor.text)
                if in_loop or not donor.leaves_loop:
                    scores[text] += 1 + 4 * len(donor.words & name)
        return [text for text, _ in scores.most_common() if text not in inside][:_DONATED]

    @cached_property
    def _donors(self) -> list[_Donor]:
        """The calls, assignments, guards and returned values of all functions of the file."""
        return [donor for f in self._parsed.functions for donor in _donors_of(f)]


def _donors_of(function: Function) -> Iterator[_Donor]:
    name = words(function.name)
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt) or not _can_donate(node):
            continue
        text = ast.unparse(node)
        inner = list(ast.walk(node))
        needs = frozenset(n.id for n in inner if isinstance(n, ast.Name))
        leaves = any(isinstance(n, ast.Continue | ast.Break) for n in inner)
        if len(text) <= _DONATED_CHARS:
            yield _Donor(function, text, needs, name, leaves, isinstance(node, ast.Return))


def _can_donate(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            return True
        case ast.Assign(value=ast.expr() as value) | ast.Return(value=ast.expr() as value):
            return not isinstance(value, ast.Constant)
        case ast.If(body=[ast.stmt() as only], orelse=[]):
            return isinstance(only, _EXITS) or _can_donate(only)
    return False


def members(function: Function | None) -> dict[str, list[str]]:
    """The attributes that a function uses, by their variables."""
    found: dict[str, dict[str, None]] = {}
    for node in ast.walk(function) if function is not None else ():
        match node:
            case ast.Attribute(ctx=ast.Load(), value=ast.Name(id=name)) if name != "self":
                found.setdefault(name, {})[node.attr] = None
    return {name: list(attributes) for name, attributes in found.items()}


def unused(function: Function | None) -> list[str]:
    """The parameters and variables that a function sets and never uses."""
    loaded: set[str] = set()
    stored: dict[str, None] = {}
    for node in ast.walk(function) if function is not None else ():
        if isinstance(node, ast.arg):
            stored[node.arg] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored[node.id] = None
        elif isinstance(node, ast.Name):
            loaded.add(node.id)
    return [name for name in stored if name not in loaded | {"self", "cls", "_"}]


def call_name(call: ast.Call) -> str:
    """The last name of what is called, or ""."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _argument_count(call: ast.Call) -> int:
    return len(call.args) + len(call.keywords)


@lru_cache(maxsize=4)
def ingredients_of(parsed: ParsedText) -> Ingredients:
    """The ingredients of a text; a search asks for all lines of a text, one after another."""
    return Ingredients(parsed)
