"""Replace or add definitions in a Python file.

A model often sends more than the requested definition: imports, helper functions, constants, the
whole class, or an example of use. Imports and new helpers are added to the file where they belong.
Examples are dropped, and so are definitions that the file already has.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence

from localagent.core.errors import EditError
from localagent.edits.python_definitions import (
    DEFINITION_NODES,
    ParsedCode,
    PythonDefinition,
    clean_name,
    find_definition,
    find_replacement,
    first_line,
    parse,
    walk_definitions,
)
from localagent.edits.textfile import elided_line


def replace_function(text: str, name: str, new_code: str) -> str:
    """`text` with the definition `name` replaced by the one in `new_code`.

    `name` may be qualified ("Stack.push", "outer.inner") and may name a class. The new definition
    is indented like the old one. Missing imports and helpers are added to the file. Raises
    EditError if the file or the new code does not parse, if `name` is missing or ambiguous, or if
    the edit changes nothing.
    """
    name = clean_name(name)
    elided = elided_line(new_code, text)
    if elided is not None:
        raise EditError(
            f"line {elided[0]} stands for omitted code ({elided[1].strip()[:60]!r}); "
            f"write all of {name}"
        )
    file = parse(text, "the file")
    old = find_definition(list(walk_definitions(file.body)), name)
    code = parse(new_code)
    new = find_replacement(code, old)
    indent = _indent(file.lines[old.node.lineno - 1])
    unit = _unit(file.lines, file.body)
    replacement = _reindented(code, new.start, new.end, indent, unit)
    replacement += _new_methods(code, new, old, indent, unit)
    lines = [*file.lines[: old.start], *replacement, *file.lines[old.end :]]
    top = _top(file, old)
    lines[top:top] = _new_helpers(code, new, file, unit)
    lines = _with_imports(lines, file.body, _new_imports(code, file))
    result = "\n".join(lines)
    if result == text:
        raise EditError(f"the edit changes nothing: {name} already has this code")
    parse(result, "the result")
    return result


def add_definitions(text: str, new_code: str) -> str:
    """`text` with the functions, classes and constants that only `new_code` has.

    They are added at the end of the file, before `if __name__ == "__main__"`. Their imports are
    added at the start. Raises EditError if the file or the new code does not parse, or if the new
    code defines nothing new.
    """
    file, code = parse(text, "the file"), parse(new_code)
    added = _lacking(code, code.body, file, _unit(file.lines, file.body))
    if not added:
        raise EditError("the code defines nothing new: the file already has every definition in it")
    place = next((first_line(node) for node in file.body if _is_main(node)), len(file.lines))
    before, after = file.lines[:place], file.lines[place:]
    while before and not before[-1].strip():
        before.pop()
    lines = [*before, *(["", ""] if before else []), *added, *(["", "", *after] if after else [""])]
    result = "\n".join(_with_imports(lines, file.body, _new_imports(code, file)))
    parse(result, "the result")
    return result


def add_methods(text: str, owner: str, new_code: str) -> str:
    """`text` with the functions of `new_code` that the class `owner` lacks, at the class's end.

    Their imports are added at the start of the file. Raises EditError if the file or the new code
    does not parse, if there is no such class, or if the new code has no new method.
    """
    file, code = parse(text, "the file"), parse(new_code)
    place = find_definition(list(walk_definitions(file.body)), owner)
    if not isinstance(place.node, ast.ClassDef):
        raise EditError(f"{owner} is no class")
    has, indent = _names(place.node.body), _indent(file.lines[place.node.body[-1].lineno - 1])
    added = _methods(code, code.body, has, indent, _unit(file.lines, file.body))
    if not added:
        raise EditError(f"the code has no new method of {owner}")
    lines = [*file.lines[: place.end], *added, *file.lines[place.end :]]
    result = "\n".join(_with_imports(lines, file.body, _new_imports(code, file)))
    parse(result, "the result")
    return result


def _is_main(node: ast.stmt) -> bool:
    """Whether the statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


# Indentation


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def _unit(lines: list[str], body: Sequence[ast.AST]) -> str:
    """One level of the file's indentation, as in its first indented block; by default 4 spaces."""
    for node in body:
        for child in ast.walk(node):
            inner = getattr(child, "body", None)
            if not isinstance(inner, list) or not inner or not isinstance(child, ast.stmt):
                continue
            if inner[0].lineno == child.lineno:
                continue
            outer = _indent(lines[child.lineno - 1])
            deeper = _indent(lines[inner[0].lineno - 1])
            if deeper.startswith(outer) and len(deeper) > len(outer):
                return deeper[len(outer) :]
    return "    "


def _fixed_lines(code: ParsedCode) -> set[int]:
    """The indices of lines that begin inside a string, so their indentation must not change.

    The lines of docstrings are left out, because a docstring is indented with its function.
    """
    docstrings = {
        (node.body[0].lineno, node.body[0].col_offset)
        for wrapper in code.body
        for node in ast.walk(wrapper)
        if isinstance(node, DEFINITION_NODES) and ast.get_docstring(node, clean=False) is not None
    }
    fixed: set[int] = set()
    for start, end in _strings(code.lines):
        if start not in docstrings:
            fixed |= set(range(start[0], end))
    return fixed


def _strings(lines: list[str]) -> Iterator[tuple[tuple[int, int], int]]:
    """The start (line, column) of each string literal, and the line in which it ends."""
    formatted: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "STRING":
            yield token.start, token.end[0]
        elif kind == "FSTRING_START":  # since Python 3.12, an f-string is several tokens
            formatted.append(token.start)
        elif kind == "FSTRING_END":
            yield formatted.pop(), token.end[0]


def _reindented(code: ParsedCode, start: int, end: int, indent: str, unit: str) -> list[str]:
    """Lines `start` to `end` of the new code, indented to `indent` in steps of `unit`."""
    fixed = _fixed_lines(code)
    base = _indent(code.lines[start])
    code_unit = _unit(code.lines, code.body)
    result = []
    for index in range(start, end):
        line = code.lines[index]
        if index in fixed:
            result.append(line)
        elif not line.strip():
            result.append("")
        else:
            result.append(indent + _converted(line.removeprefix(base), code_unit, unit))
    return result


def _converted(line: str, old: str, unit: str) -> str:
    """`line` with each level of its indentation, `old`, replaced by `unit`."""
    levels, rest = 0, line
    while old != unit and rest.startswith(old):
        levels, rest = levels + 1, rest[len(old) :]
    return unit * levels + rest


# Other definitions and imports in the new code


def _names(body: Sequence[ast.stmt]) -> set[str]:
    """The names that the statements of `body` define, imports included."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, DEFINITION_NODES):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.If | ast.Try | ast.With):
            inner = [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)]
            inner += [n for h in getattr(node, "handlers", []) for n in h.body]
            names |= _names(inner)
    return names


def _new_methods(
    code: ParsedCode, new: PythonDefinition, old: PythonDefinition, indent: str, unit: str
) -> list[str]:
    """The methods of the new code that the class of `old` does not have, to be put after `old`."""
    owner = old.parents[-1] if old.parents else None
    if not isinstance(owner, ast.ClassDef) or old.is_class:
        return []
    has = _names(owner.body)
    siblings = new.parents[-1].body if new.parents else code.body
    methods = [node for node in siblings if new.parents or _is_method(node)]
    return _methods(code, methods, has, indent, unit)


def _methods(
    code: ParsedCode, nodes: Sequence[ast.stmt], has: set[str], indent: str, unit: str
) -> list[str]:
    """The functions among `nodes` whose names are not in `has`, indented as methods."""
    result: list[str] = []
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name not in has:
            method = PythonDefinition(node, node.name, ())
            result += ["", *_reindented(code, method.start, method.end, indent, unit)]
    return result


def _is_method(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    arguments = [*node.args.posonlyargs, *node.args.args]
    return bool(arguments) and arguments[0].arg in ("self", "cls")


def _top(file: ParsedCode, old: PythonDefinition) -> int:
    """The index at which to insert helpers of `old`.

    The index is above the top-level statement that contains `old`, and above its comment.
    """
    starts = [first_line(node) for node in file.body]
    top = max(start for start in starts if start <= old.start)
    above = top
    while above > 0 and file.lines[above - 1].startswith("#"):
        above -= 1
    return above if above > 0 else top


def _new_helpers(code: ParsedCode, new: PythonDefinition, file: ParsedCode, unit: str) -> list[str]:
    """The functions, classes and constants that only the new code has, with blank lines."""
    in_class = bool(new.parents) or _is_method(new.node)
    others = [
        node
        for node in code.body
        # `_new_methods` adds methods to the class.
        if node is not (*new.parents, new.node)[0] and not (in_class and _is_method(node))
    ]
    result = _lacking(code, others, file, unit)
    return [*result, "", ""] if result else []


def _lacking(code: ParsedCode, nodes: Sequence[ast.stmt], file: ParsedCode, unit: str) -> list[str]:
    """The definitions in `nodes` that the file does not have, with blank lines between them."""
    has = _names(file.body)
    result: list[str] = []
    after_constant = True
    for node in nodes:
        if not _names([node]) - has:
            continue
        is_constant = isinstance(node, ast.Assign | ast.AnnAssign)
        if is_constant or isinstance(node, DEFINITION_NODES):
            between = [] if (after_constant and is_constant) or not result else ["", ""]
            end = node.end_lineno or node.lineno
            result += [*between, *_reindented(code, first_line(node), end, "", unit)]
            after_constant = is_constant
    return result


def _new_imports(code: ParsedCode, file: ParsedCode) -> list[str]:
    """Import statements for the names that the new code imports but the file does not."""
    has = {key for node in file.body for key, _ in _imported(node)}
    result: dict[str, None] = {}
    for node in code.body:
        for key, statement in _imported(node):
            if key not in has:
                result[statement] = None
    return list(result)


def _imported(node: ast.stmt) -> Iterator[tuple[tuple[str, str, str], str]]:
    """For each name in an import: a key to compare, and a statement that imports only this name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            suffix = f" as {alias.asname}" if alias.asname else ""
            yield ("", alias.name, alias.asname or ""), f"import {alias.name}{suffix}"
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            suffix = f" as {alias.asname}" if alias.asname else ""
            key = (module, alias.name, alias.asname or "")
            yield key, f"from {module} import {alias.name}{suffix}"


def _with_imports(lines: list[str], body: list[ast.stmt], imports: list[str]) -> list[str]:
    """`lines` with `imports` inserted after the file's first imports; `__future__` comes first.

    The line numbers of the imports in `body` are still valid, because all edits are below them.
    """
    if not imports:
        return lines
    future = [line for line in imports if line.startswith("from __future__")]
    others = [line for line in imports if line not in future]
    after_imports = after_future = 0
    fresh = True
    for node in body:
        end = node.end_lineno or node.lineno
        is_docstring = node is body[0] and isinstance(node, ast.Expr)
        if is_docstring:
            after_imports = after_future = end
        elif isinstance(node, ast.Import | ast.ImportFrom):
            after_imports, fresh = end, False
            if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                after_future = end
        else:
            break
    if after_imports == 0:
        after_imports = after_future = _header(lines)
    spaced = others
    if others and fresh:
        spaced = [*([""] if after_imports else []), *others]
        following = lines[after_imports] if after_imports < len(lines) else ""
        spaced += [""] if following.strip() else []
    result = [*lines[:after_imports], *spaced, *lines[after_imports:]]
    result[after_future:after_future] = future
    return result


def _header(lines: list[str]) -> int:
    """The number of comment lines at the start of the file, such as a shebang or a license.

    Comments directly above code belong to the code, except a shebang.
    """
    end = 0
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    if end == len(lines) or not lines[end].strip():
        return end
    return 1 if lines[0].startswith("#!") else 0
