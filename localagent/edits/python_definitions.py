"""Replacing one definition in a Python file with new code for it.

The new code may hold more than was asked for, as models like to send: the imports that it needs,
helper functions and constants, the whole class, or an example of use. Imports and new helpers go
where they belong; what the file has already, and examples, are left out.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from localagent.core.errors import EditError
from localagent.edits.omissions import elided_line

DefinitionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class PythonDefinition:
    """A definition: its node, its qualified name, and the definitions around it."""

    node: DefinitionNode
    name: str
    parents: tuple[DefinitionNode, ...]

    @property
    def start(self) -> int:
        """The index of its first line, decorators included."""
        return first_line(self.node)

    @property
    def end(self) -> int:
        """The index of the line after its last."""
        return self.node.end_lineno or self.node.lineno

    @property
    def is_class(self) -> bool:
        """Whether it is a class; otherwise a function or a method."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class _Code:
    """A parsed text: line n of `body`'s positions is `lines[n - 1]`."""

    lines: list[str]
    body: list[ast.stmt]


def definitions(text: str) -> list[PythonDefinition]:
    """All functions, methods and classes of `text`, nested ones too, in the order of lines.

    Raises EditError where the text does not parse.
    """
    return list(_definitions(_parse(text, "the file").body))


def replace_function(text: str, name: str, new_code: str) -> str:
    """`text` with the definition `name` replaced by the one in `new_code`.

    `name` may be qualified ("Stack.push", "outer.inner") and may name a class. The new code is
    indented as the old one was; imports and helpers that the file lacks are added. Raises
    EditError where either text does not parse, where `name` is not in it or is there twice, and
    where nothing would change.
    """
    wanted = _clean_name(name)
    elided = elided_line(new_code, text)
    if elided is not None:
        raise EditError(
            f"line {elided[0]} stands for code that was left out ({elided[1].strip()[:60]!r}); "
            f"write the whole of {wanted}"
        )
    file = _parse(text, "the file")
    old = _find(list(_definitions(file.body)), wanted)
    code = _parse(new_code)
    new = _find_new(code, old)
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
        raise EditError(f"the edit changes nothing: this is {wanted} as it is")
    _parse(result, "the result")
    return result


def add_definitions(text: str, new_code: str) -> str:
    """`text` with the functions, classes and constants of `new_code` that it lacks at its end, but
    before what it does when it is run; imports that they need are added.

    Raises EditError where either text does not parse, and where nothing is new.
    """
    file, code = _parse(text, "the file"), _parse(new_code)
    added = _lacking(code, code.body, file, _unit(file.lines, file.body))
    if not added:
        raise EditError("it defines nothing that the file lacks")
    place = next((first_line(node) for node in file.body if _is_main(node)), len(file.lines))
    before, after = file.lines[:place], file.lines[place:]
    while before and not before[-1].strip():
        before.pop()
    lines = [*before, *(["", ""] if before else []), *added, *(["", "", *after] if after else [""])]
    result = "\n".join(_with_imports(lines, file.body, _new_imports(code, file)))
    _parse(result, "the result")
    return result


def _is_main(node: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


# Finding


def _parse(text: str, what: str = "the code") -> _Code:
    """Parse `text`; code that is indented as a whole is parsed as it stands."""
    lines = text.split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return _Code(lines, ast.parse(text).body)
            except IndentationError:
                first = next((line for line in lines if line.strip()), "")
                if not first[:1].isspace():
                    raise
                # One line more in front, so that line n of the tree is index n - 1 of ours.
                wrapped = ast.parse("if 1:\n" + text).body[0]
                assert isinstance(wrapped, ast.If)
                return _Code(["if 1:", *lines], wrapped.body)
    except SyntaxError as error:
        raise EditError(f"{what} does not parse: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise EditError(f"{what} does not parse: {error or 'too deeply nested'}") from None


def _definitions(
    body: Sequence[ast.AST], parents: tuple[DefinitionNode, ...] = ()
) -> Iterator[PythonDefinition]:
    """The definitions in `body`, also those under if, try, with and match."""
    for node in body:
        if isinstance(node, _DEFINITIONS):
            name = ".".join(parent.name for parent in (*parents, node))
            yield PythonDefinition(node, name, parents)
            yield from _definitions(node.body, (*parents, node))
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _definitions(list(ast.iter_child_nodes(node)), parents)


def _clean_name(name: str) -> str:
    """A name as models write it ("def Stack.push(self):") without what is around it."""
    bare = re.sub(r"^\s*(?:async\s+)?(?:def|class)\s+", "", name).split("(")[0]
    bare = bare.replace(".<locals>", "").replace("::", ".").strip().strip("`'\":.")
    if not all(part.isidentifier() for part in bare.split(".")):
        raise EditError(f"{name[:80]!r} is not the name of a function or class")
    return bare


def _find(found: list[PythonDefinition], wanted: str) -> PythonDefinition:
    """The definition called `wanted`: by its whole name, or else by the end of it."""
    hits = [f for f in found if f.name == wanted]
    hits = hits or [f for f in found if f.name.endswith("." + wanted)]
    if not hits and "." in wanted:
        # "module.function": the module's name is not part of ours.
        hits = [f for f in found if wanted.endswith("." + f.name)]
    hits = [f for f in hits if not _is_overload(f.node)] or hits
    if not hits:
        names = ", ".join(dict.fromkeys(f.name for f in found)) or "no function at all"
        raise EditError(f"the file defines no {wanted}; it has {_shortened(names)}")
    if len(hits) > 1:
        places = ", ".join(f"{f.name} in line {f.node.lineno}" for f in hits[:8])
        raise EditError(f"{wanted} is defined {len(hits)} times ({places}); use SEARCH/REPLACE")
    return hits[0]


def _find_new(code: _Code, old: PythonDefinition) -> PythonDefinition:
    """The definition in the new code that replaces `old`."""
    found = list(_definitions(code.body))
    same_kind = [f for f in found if f.is_class == old.is_class and (old.parents or not f.parents)]
    hits = [f for f in same_kind if f.name == old.name]
    hits = hits or [f for f in same_kind if f.node.name == old.node.name]
    if not hits:
        names = ", ".join(dict.fromkeys(f.name for f in found)) or "no definition"
        raise EditError(
            f"the code must hold the whole definition of {old.name}; it has {_shortened(names)}"
        )
    return hits[-1]  # a model that corrects itself does so further down


def _is_overload(node: DefinitionNode) -> bool:
    names = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(name in ("overload", "typing.overload") for name in names)


def _shortened(names: str) -> str:
    return names if len(names) <= 300 else names[:300] + " …"


# Indentation


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t\f"))]


def _unit(lines: list[str], body: Sequence[ast.AST]) -> str:
    """What one level of indentation is: that of the first body which is on lines of its own."""
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


def _fixed_lines(code: _Code) -> set[int]:
    """The indices of lines that begin inside a string, which indentation must not touch.

    Docstrings move with their function, as tools for documentation expect.
    """
    docstrings = {
        (node.body[0].lineno, node.body[0].col_offset)
        for wrapper in code.body
        for node in ast.walk(wrapper)
        if isinstance(node, _DEFINITIONS) and ast.get_docstring(node, clean=False) is not None
    }
    fixed: set[int] = set()
    for start, end in _strings(code.lines):
        if start not in docstrings:
            fixed |= set(range(start[0], end))
    return fixed


def _strings(lines: list[str]) -> Iterator[tuple[tuple[int, int], int]]:
    """Where each string token starts (line, column) and the line in which it ends."""
    formatted: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "STRING":
            yield token.start, token.end[0]
        elif kind == "FSTRING_START":  # one token was made three in Python 3.12
            formatted.append(token.start)
        elif kind == "FSTRING_END":
            yield formatted.pop(), token.end[0]


def _reindented(code: _Code, start: int, end: int, indent: str, unit: str) -> list[str]:
    """Lines `start` to `end` of the new code, moved to `indent`, in the file's own unit."""
    fixed = _fixed_lines(code)
    base = _indent(code.lines[start])
    own = _unit(code.lines, code.body)
    result = []
    for index in range(start, end):
        line = code.lines[index]
        if index in fixed:
            result.append(line)
        elif not line.strip():
            result.append("")
        else:
            result.append(indent + _converted(line.removeprefix(base), own, unit))
    return result


def _converted(line: str, own: str, unit: str) -> str:
    """`line` with its levels of indentation written as the file writes them."""
    levels, rest = 0, line
    while own != unit and rest.startswith(own):
        levels, rest = levels + 1, rest[len(own) :]
    return unit * levels + rest


# What comes along


def _names(body: Sequence[ast.stmt]) -> set[str]:
    """The names that the statements of `body` define, imports included."""
    names: set[str] = set()
    for node in body:
        if isinstance(node, _DEFINITIONS):
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
    code: _Code, new: PythonDefinition, old: PythonDefinition, indent: str, unit: str
) -> list[str]:
    """Methods that came along, which the class of `old` lacks: they follow it."""
    owner = old.parents[-1] if old.parents else None
    if not isinstance(owner, ast.ClassDef) or old.is_class:
        return []
    has = _names(owner.body)
    siblings = new.parents[-1].body if new.parents else code.body
    result: list[str] = []
    for node in siblings:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name not in has
            and (new.parents or _is_method(node))
        ):
            found = PythonDefinition(node, node.name, ())
            result += ["", *_reindented(code, found.start, found.end, indent, unit)]
    return result


def _is_method(node: ast.stmt) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    arguments = [*node.args.posonlyargs, *node.args.args]
    return bool(arguments) and arguments[0].arg in ("self", "cls")


def _top(file: _Code, old: PythonDefinition) -> int:
    """Where helpers of `old` go: above the statement of the file that holds it, and its comment."""
    starts = [first_line(node) for node in file.body]
    top = max(start for start in starts if start <= old.start)
    above = top
    while above > 0 and file.lines[above - 1].startswith("#"):
        above -= 1
    return above if above > 0 else top


def first_line(node: ast.stmt) -> int:
    """The index of a statement's first line, decorators included."""
    decorators = node.decorator_list if isinstance(node, _DEFINITIONS) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1


def _new_helpers(code: _Code, new: PythonDefinition, file: _Code, unit: str) -> list[str]:
    """Functions, classes and constants of the new code that the file lacks, with blank lines."""
    in_class = bool(new.parents) or _is_method(new.node)
    others = [
        node
        for node in code.body
        # Methods went into the class.
        if node is not (*new.parents, new.node)[0] and not (in_class and _is_method(node))
    ]
    result = _lacking(code, others, file, unit)
    return [*result, "", ""] if result else []


def _lacking(code: _Code, nodes: Sequence[ast.stmt], file: _Code, unit: str) -> list[str]:
    """The definitions among `nodes` that the file lacks, with blank lines between them."""
    has = _names(file.body)
    result: list[str] = []
    after_constant = True
    for node in nodes:
        if not _names([node]) - has:
            continue
        is_constant = isinstance(node, ast.Assign | ast.AnnAssign)
        if is_constant or isinstance(node, _DEFINITIONS):
            between = [] if (after_constant and is_constant) or not result else ["", ""]
            end = node.end_lineno or node.lineno
            result += [*between, *_reindented(code, first_line(node), end, "", unit)]
            after_constant = is_constant
    return result


def _new_imports(code: _Code, file: _Code) -> list[str]:
    """Import statements for what the new code imports and the file does not."""
    has = {key for node in file.body for key, _ in _imported(node)}
    result: dict[str, None] = {}
    for node in code.body:
        for key, statement in _imported(node):
            if key not in has:
                result[statement] = None
    return list(result)


def _imported(node: ast.stmt) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Each name that an import brings in: a key to compare by, and a statement for it alone."""
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
    """`lines` with `imports` after the imports that open the file, `__future__` before them all.

    The old positions in `body` hold for these lines, since edits only happened below them.
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
    """The number of comment lines that open the file (a shebang, a licence).

    Comments with no blank line after them belong to the code below, but for a shebang.
    """
    end = 0
    while end < len(lines) and lines[end].startswith("#"):
        end += 1
    if end == len(lines) or not lines[end].strip():
        return end
    return 1 if lines[0].startswith("#!") else 0
