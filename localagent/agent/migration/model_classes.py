"""Mapped classes of SQLAlchemy in Python files: their columns, and a class with a column split."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from localagent.agent.repair.parsed_text import parse
from localagent.edits.python_edits import add_definitions


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column of a mapped class, in the file at `path`."""

    path: str
    class_name: str
    table: str
    name: str


@dataclass(frozen=True, slots=True)
class ColumnSplit:
    """A column that becomes the columns `parts`, and the names of the functions between them."""

    column: MappedColumn
    parts: tuple[str, ...]

    @property
    def split_name(self) -> str:
        """The function that returns the parts of a value."""
        return f"split_{self.column.name}"

    @property
    def join_name(self) -> str:
        """The function that returns the value of some parts."""
        return f"join_{self.column.name}"


def columns_of(texts: Mapping[str, str]) -> list[MappedColumn]:
    """The columns of all mapped classes in files, in the order of the files."""
    return [
        MappedColumn(path, node.name, table, target.id)
        for path, text in texts.items()
        for node, table in _mapped_classes(text)
        for target, _ in _columns(node)
    ]


def _mapped_classes(text: str) -> Iterator[tuple[ast.ClassDef, str]]:
    """The classes with a table's name in `__tablename__`."""
    if "__tablename__" not in text:
        return
    for node in ast.walk(_parse(text)):
        for line in node.body if isinstance(node, ast.ClassDef) else ():
            match line:
                case ast.Assign(targets=[ast.Name(id="__tablename__")], value=ast.Constant(table)):
                    assert isinstance(node, ast.ClassDef)
                    yield node, str(table)


def _columns(node: ast.ClassDef) -> Iterator[tuple[ast.Name, ast.stmt]]:
    for line in node.body:
        match line:
            case ast.AnnAssign(target=ast.Name() as target, annotation=kind):
                if "Mapped" in ast.dump(kind) and "relationship" not in ast.dump(line):
                    yield target, line
            case ast.Assign(targets=[ast.Name() as target], value=ast.Call(func=function)):
                if ast.unparse(function).rpartition(".")[2] in ("Column", "mapped_column"):
                    yield target, line


def _parse(text: str) -> ast.Module:
    return parse(text) or ast.Module([], [])


def split_class(text: str, split: ColumnSplit, functions: str, *, nullable: bool) -> str:
    """The file's text with the columns `parts` in place of the column.

    `functions` are added to the file. The class keeps the old name as a property, which splits and
    joins, so that other code can read, set and construct with it. Raises EditError.
    """
    old = split.column
    node = next(c for c, _ in _mapped_classes(text) if c.name == old.class_name)
    target, line = next((t, s) for t, s in _columns(node) if t.id == old.name)
    lines = text.splitlines()
    indent = " " * line.col_offset
    declared = lines[line.lineno - 1 : line.end_lineno]
    new = [each for part in split.parts for each in _renamed(declared, line, target.id, part)]
    last = node.end_lineno or node.lineno
    parts = ", ".join(f"self.{part}" for part in split.parts)
    kind = "str | None" if nullable else "str"
    nothing = ", ".join(["None"] * len(split.parts))
    body = [
        "@property",
        f"def {old.name}(self) -> {kind}:",
        *([f"    if None in ({parts}):", "        return None"] if nullable else []),
        f"    return {split.join_name}({parts})",
        "",
        f"@{old.name}.setter",
        f"def {old.name}(self, value: {kind}) -> None:",
        f"    {parts} = "
        + (f"({nothing}) if value is None else " if nullable else "")
        + f"{split.split_name}(value)",
    ]
    after = [f"{indent}{each}" if each else "" for each in body]
    lines[last:last] = ["", *after]
    lines[line.lineno - 1 : line.end_lineno] = new
    return add_definitions("\n".join(lines) + "\n", functions)


def _renamed(declared: Sequence[str], line: ast.stmt, old: str, new: str) -> list[str]:
    """The lines of a column's declaration for another name."""
    first = declared[0]
    start = line.col_offset
    renamed = first[:start] + new + first[start + len(old) :]
    rest = [renamed, *declared[1:]]
    return [each.replace(f'"{old}"', f'"{new}"').replace(f"'{old}'", f"'{new}'") for each in rest]


def queries_of(text: str, class_name: str, column: str) -> list[str]:
    """The functions that use `Class.column`, which a property cannot answer; "" for other code."""
    found: list[str] = []

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}".strip(".")
            if isinstance(child, ast.Attribute) and child.attr == column:
                owner = ast.unparse(child.value).rpartition(".")[2]
                if owner == class_name or (owner == "cls" and class_name in name.split(".")):
                    found.append(name)
            visit(child, inner)

    visit(_parse(text), "")
    return list(dict.fromkeys(found))


def with_import(text: str, split: ColumnSplit) -> str:
    """The text with the functions of `split` imported, where it uses them.

    The import of the class gets their names. Where the text imports the class's module instead,
    the module's name comes before theirs.
    """
    tree = _parse(text)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    known = {n.asname or n.name for n in ast.walk(tree) if isinstance(n, ast.alias)}
    new = [name for name in (split.split_name, split.join_name) if name in used - known]
    stem = split.column.path.rpartition("/")[2].removesuffix(".py")
    for node in tree.body if new else ():
        if not isinstance(node, ast.ImportFrom):
            continue
        if any(alias.name == split.column.class_name for alias in node.names):
            imported = sorted([*(ast.unparse(alias) for alias in node.names), *new])
            lines = text.splitlines()
            line = f"from {'.' * node.level}{node.module or ''} import {', '.join(imported)}"
            lines[node.lineno - 1 : node.end_lineno] = [line]
            return "\n".join(lines) + "\n"
        for alias in node.names:
            if alias.name == stem:
                names = "|".join(new)
                return re.sub(rf"(?<![\w.])({names})\(", rf"{alias.asname or stem}.\1(", text)
    return text


def module_of(path: str) -> str:
    """The name by which the file at `path` is imported."""
    parts = path.removeprefix("src/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
