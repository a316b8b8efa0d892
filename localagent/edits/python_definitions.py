"""The functions, methods and classes of a Python file, and their places in the file.

This module uses Python's own parser, not tree-sitter as in `code`. Edits need the exact place of
every statement, imports and docstrings included. Edits also refuse code that Python cannot parse,
while tree-sitter accepts broken code.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localagent.core.errors import EditError

DefinitionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITION_NODES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class PythonDefinition:
    """A definition: its node, its qualified name, and the definitions that contain it."""

    node: DefinitionNode
    name: str
    parents: tuple[DefinitionNode, ...]

    @property
    def start(self) -> int:
        """The index of the definition's first line, decorators included."""
        return first_line(self.node)

    @property
    def end(self) -> int:
        """The index of the line after the definition's last line."""
        return self.node.end_lineno or self.node.lineno

    @property
    def is_class(self) -> bool:
        """Whether the definition is a class, not a function or method."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class ParsedCode:
    """Parsed Python code. Line number n of a node in `body` is `lines[n - 1]`."""

    lines: list[str]
    body: list[ast.stmt]


def definitions(text: str) -> list[PythonDefinition]:
    """All functions, methods and classes in `text`, nested ones included, in the order of lines.

    Raises EditError if `text` does not parse.
    """
    return list(walk_definitions(parse(text, "the file").body))


def first_line(node: ast.stmt) -> int:
    """The index of a statement's first line, decorators included."""
    decorators = node.decorator_list if isinstance(node, DEFINITION_NODES) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def parse(text: str, what: str = "the code") -> ParsedCode:
    """Parse Python code. All of `text` may be indented. Raises EditError if it does not parse."""
    lines = text.split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return ParsedCode(lines, ast.parse(text).body)
            except IndentationError:
                first = next((line for line in lines if line.strip()), "")
                if not first[:1].isspace():
                    raise
                # `lines` gets this header too, so that line numbers and `lines` still agree.
                wrapped = ast.parse("if 1:\n" + text).body[0]
                assert isinstance(wrapped, ast.If)
                return ParsedCode(["if 1:", *lines], wrapped.body)
    except SyntaxError as error:
        raise EditError(f"{what} does not parse: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise EditError(f"{what} does not parse: {error or 'too deeply nested'}") from None


def walk_definitions(
    body: Sequence[ast.AST], parents: tuple[DefinitionNode, ...] = ()
) -> Iterator[PythonDefinition]:
    """The definitions in `body`, including those inside of if, try, with and match."""
    for node in body:
        if isinstance(node, DEFINITION_NODES):
            name = ".".join(parent.name for parent in (*parents, node))
            yield PythonDefinition(node, name, parents)
            yield from walk_definitions(node.body, (*parents, node))
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from walk_definitions(list(ast.iter_child_nodes(node)), parents)


def clean_name(name: str) -> str:
    """Extract the name from a model's spelling: "Stack.push" from "def Stack.push(self):".

    Raises EditError if there is no valid name.
    """
    bare = re.sub(r"^\s*(?:async\s+)?(?:def|class)\s+", "", name).split("(")[0]
    bare = bare.replace(".<locals>", "").replace("::", ".").strip().strip("`'\":.")
    if not all(part.isidentifier() for part in bare.split(".")):
        raise EditError(f"{name[:80]!r} is not the name of a function or class")
    return bare


def find_definition(known: list[PythonDefinition], name: str) -> PythonDefinition:
    """The definition named `name`, or the one whose qualified name ends in ".name".

    Raises EditError if there is none or several.
    """
    hits = [f for f in known if f.name == name]
    hits = hits or [f for f in known if f.name.endswith("." + name)]
    if not hits and "." in name:
        # In "module.function", the name of the module is not part of the definition's name.
        hits = [f for f in known if name.endswith("." + f.name)]
    hits = [f for f in hits if not _is_overload(f.node)] or hits
    if not hits:
        names = ", ".join(dict.fromkeys(f.name for f in known)) or "no definitions"
        raise EditError(f"the file defines no {name}; it has {_shortened(names)}")
    if len(hits) > 1:
        places = ", ".join(f"{f.name} in line {f.node.lineno}" for f in hits[:8])
        raise EditError(f"{name} is defined {len(hits)} times ({places}); use SEARCH/REPLACE")
    return hits[0]


def find_replacement(code: ParsedCode, old: PythonDefinition) -> PythonDefinition:
    """The definition in the new code that replaces `old`. Raises EditError if there is none."""
    new = list(walk_definitions(code.body))
    same_kind = [f for f in new if f.is_class == old.is_class and (old.parents or not f.parents)]
    hits = [f for f in same_kind if f.name == old.name]
    hits = hits or [f for f in same_kind if f.node.name == old.node.name]
    if not hits:
        names = ", ".join(dict.fromkeys(f.name for f in new)) or "no definition"
        raise EditError(
            f"the code must contain the whole definition of {old.name}; the code has "
            f"{_shortened(names)}"
        )
    return hits[-1]  # the last definition, because models correct themselves later in a reply


def _is_overload(node: DefinitionNode) -> bool:
    names = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(name in ("overload", "typing.overload") for name in names)


def _shortened(names: str) -> str:
    return names if len(names) <= 300 else names[:300] + " …"
