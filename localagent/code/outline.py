"""The definitions of a source file.

They come from its grammar (`grammars`) where there is one. Without, as for a generated file or one
that its parser died on, Python is read by its own parser, and in the other main languages patterns
find what is certain to be a definition; the end of one is an estimate then: the line before the
next that is indented no deeper.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence

from localagent.code.languages import language_of
from localagent.code.structure import Structure
from localagent.code.symbols import Symbol

Pattern = tuple[str, re.Pattern[str]]

_NO_KEYWORD = r"(?!(?:if|for|while|switch|catch|return|else|do|new|throw|await|with|super)\b)"


def _words(*words: str) -> str:
    """Any number of `words`, each followed by blanks."""
    return rf"(?:(?:{'|'.join(words)})\s+)*"


def _patterns(*pairs: tuple[str, str]) -> Sequence[Pattern]:
    return [(kind, re.compile(pattern)) for kind, pattern in pairs]


_EXPORT = rf"^\s*{_words('export', 'default', 'declare', 'abstract', 'async')}"
_JS_MODIFIERS = _words(
    "static", "async", "public", "private", "protected", "readonly", "get", "set"
)
_JS_VALUE = r"(?:async\s*)?(?:function\b|\([^)]*\)\s*(?::[^=]+)?=>|[\w$]+\s*=>)"
_JAVASCRIPT = _patterns(
    ("class", rf"{_EXPORT}(?:class|interface|enum)\s+(?P<name>\w+)"),
    ("function", rf"{_EXPORT}function\s*\*?\s*(?P<name>[\w$]+)"),
    ("function", rf"{_EXPORT}(?:const|let|var)\s+(?P<name>[\w$]+)\s*(?::[^=]+)?=\s*{_JS_VALUE}"),
    (
        "method",
        rf"^\s+{_JS_MODIFIERS}\*?{_NO_KEYWORD}(?P<name>[\w$#]+)\s*(?:<[^>]*>)?"
        r"\([^)]*\)\s*(?::[^{]+)?\{\s*$",
    ),
)

_C_TYPE = r"(?:[\w:<>,~\[\]]+(?:\s+[*&]*|[*&]+\s*))+"
_C = _patterns(
    (
        "class",
        r"^\s*(?:typedef\s+)?(?:class|struct|union|enum(?:\s+class)?)\s+(?P<name>\w+)"
        r"[^;()*=]*\{?\s*$",
    ),
    (
        "function",
        rf"^{_NO_KEYWORD}{_C_TYPE}(?P<name>~?\w+(?:::~?\w+)*)\s*\([^;{{}}=]*(?:\{{.*)?$",
    ),
)

_JVM_MODIFIERS = r"(?:@\w+\s+)*" + _words(
    *("public", "private", "protected", "internal", "static", "final", "abstract", "sealed"),
    *("partial", "data", "open", "override", "virtual", "async", "synchronized", "case", "suspend"),
    *("inline", "default"),
)
_JVM_CLASS = (
    "class",
    rf"^\s*{_JVM_MODIFIERS}(?:class|interface|enum|record|struct|object|trait)\s+(?P<name>\w+)",
)
_JAVA = _patterns(
    _JVM_CLASS,
    (
        "method",
        rf"^\s+{_JVM_MODIFIERS}(?:<[^>]+>\s*)?{_NO_KEYWORD}[\w<>\[\],.?]+\s+"
        rf"{_NO_KEYWORD}(?P<name>\w+)\s*\([^;]*$",
    ),
)
_RUST_PUBLIC = r"^\s*(?:pub(?:\([^)]*\))?\s+)?"

PATTERNS: dict[str, Sequence[Pattern]] = {
    "javascript": _JAVASCRIPT,
    "c": _C,
    "java": _JAVA,
    "kotlin": _patterns(
        _JVM_CLASS,
        ("function", rf"^\s*{_JVM_MODIFIERS}fun\s+(?:<[^>]+>\s*)?(?:\w+\.)?(?P<name>\w+)\s*[(<]"),
    ),
    "swift": _patterns(
        ("class", rf"^\s*{_JVM_MODIFIERS}(?:class|struct|enum|protocol|extension)\s+(?P<name>\w+)"),
        (
            "function",
            rf"^\s*{_words('mutating', 'public', 'private', 'static')}func\s+(?P<name>\w+)",
        ),
    ),
    "scala": _patterns(
        _JVM_CLASS,
        ("function", rf"^\s*{_JVM_MODIFIERS}(?:implicit\s+)?def\s+(?P<name>\w+)"),
    ),
    "go": _patterns(
        ("function", r"^func\s+(?:\(\s*\w*\s*\*?(?P<owner>\w+)[^)]*\)\s*)?(?P<name>\w+)"),
        ("class", r"^type\s+(?P<name>\w+)\s+(?:struct|interface)\b"),
    ),
    "rust": _patterns(
        (
            "function",
            rf"{_RUST_PUBLIC}{_words('const', 'async', 'unsafe', 'extern')}fn\s+(?P<name>\w+)",
        ),
        ("class", rf"{_RUST_PUBLIC}(?:struct|enum|trait|union)\s+(?P<name>\w+)"),
        ("class", r"^\s*impl(?:<[^{]*?>)?\s+(?:[\w:<>,']+\s+for\s+)?(?P<name>\w+)"),
    ),
    "ruby": _patterns(
        ("class", r"^\s*(?:class|module)\s+(?P<name>[A-Z][\w:]*)"),
        ("function", r"^\s*def\s+(?:self\.)?(?P<name>\w+[?!=]?)"),
    ),
    "php": _patterns(
        (
            "class",
            rf"^\s*{_words('abstract', 'final', 'readonly')}(?:class|interface|trait|enum)\s+"
            r"(?P<name>\w+)",
        ),
        ("function", rf"^\s*{_JVM_MODIFIERS}function\s+&?(?P<name>\w+)"),
    ),
    "shell": _patterns(
        ("function", r"^\s*(?:function\s+)?(?P<name>[\w-]+)\s*\(\)\s*[{(]?\s*$"),
        ("function", r"^\s*function\s+(?P<name>[\w-]+)\s*\{?\s*$"),
    ),
    "lua": _patterns(("function", r"^\s*(?:local\s+)?function\s+(?P<name>[\w.:]+)")),
    "elixir": _patterns(
        ("class", r"^\s*defmodule\s+(?P<name>[\w.]+)"),
        ("function", r"^\s*defp?\s+(?P<name>\w+[?!]?)"),
    ),
}

_SIMILAR = {
    **dict.fromkeys(("typescript", "tsx", "vue", "svelte"), "javascript"),
    **dict.fromkeys(("cpp", "objective-c"), "c"),
    "csharp": "java",
    "bash": "shell",
}
"""Languages that the patterns of another one fit."""

_MAX_CHARS = 2_000_000
_MAX_SIGNATURE = 160
_PYTHON_LINES = re.compile(r"^(?P<indent>\s*)(?P<kind>class|(?:async\s+)?def)\s+(?P<name>\w+)")


def outline(path: str, text: str, read: Structure | None = None) -> list[Symbol]:
    """The functions, methods and classes of a file, in the order of their lines; as its grammar
    `read` them, or as they are found without.

    Functions inside functions belong to the outer one and are left out. Empty for languages that
    are not known.
    """
    if read is not None:
        return [
            Symbol(d.name, d.kind, path, d.line, d.end_line, d.signature, d.summary)
            for d in read.definitions
        ]
    if len(text) > _MAX_CHARS:
        return []
    language = language_of(path).name
    if language == "python":
        tree = _tree(text)
        lines = text.split("\n")
        return _python_lines(path, lines) if tree is None else list(_python(path, tree.body, lines))
    language = _SIMILAR.get(language, language)
    return _by_patterns(path, text.split("\n"), language) if language in PATTERNS else []


def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python(
    path: str, body: Sequence[ast.AST], lines: Sequence[str], owner: str = ""
) -> Iterator[Symbol]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{owner}.{node.name}" if owner else node.name
            is_class = isinstance(node, ast.ClassDef)
            kind = "class" if is_class else "method" if owner else "function"
            end = node.end_lineno or node.lineno
            signature = _header(lines, node.lineno, node.body[0].lineno)
            yield Symbol(name, kind, path, node.lineno, end, signature)
            if is_class:
                yield from _python(path, node.body, lines, name)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _python(path, list(ast.iter_child_nodes(node)), lines, owner)


def _header(lines: Sequence[str], first: int, body: int) -> str:
    """The lines of a definition up to its body, as one."""
    text = " ".join(line.strip() for line in lines[first - 1 : max(first, body - 1)])
    return _clipped(text.split('"""')[0].strip().removesuffix(":"))


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_SIGNATURE else text[:_MAX_SIGNATURE] + "…"


def _python_lines(path: str, lines: Sequence[str]) -> list[Symbol]:
    """The definitions of a Python file that does not parse, by indentation."""
    found: list[Symbol] = []
    owners: list[tuple[int, str, str]] = []
    for number, line in enumerate(lines, 1):
        match = _PYTHON_LINES.match(line)
        if match is None:
            continue
        depth = len(match["indent"].expandtabs(8))
        owners = [owner for owner in owners if owner[0] < depth]
        kind = "class" if match["kind"] == "class" else "function"
        inside_function = any(owner[2] == "function" for owner in owners)
        name = ".".join([*(owner[1] for owner in owners), match["name"]])
        owners.append((depth, match["name"], kind))
        if not inside_function:
            kind = "method" if kind == "function" and "." in name else kind
            signature = _clipped(line.strip().removesuffix(":"))
            found.append(Symbol(name, kind, path, number, _end(lines, number), signature))
    return found


def _by_patterns(path: str, lines: Sequence[str], language: str) -> list[Symbol]:
    found: list[Symbol] = []
    owners: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if len(line) > 400 or line.lstrip().startswith(("//", "#", "*", "/*")):
            continue
        hit = next(((k, m) for k, p in PATTERNS[language] if (m := p.match(line))), None)
        if hit is None:
            continue
        kind, match = hit
        groups = match.groupdict()
        bare = groups["name"]
        depth = len(line) - len(line.lstrip())
        owners = [owner for owner in owners if owner[0] < depth]
        owner = groups.get("owner") or (owners[-1][1] if owners else "")
        name = f"{owner}.{bare}" if owner else bare.replace("::", ".")
        if kind == "class":
            owners.append((depth, name))
        elif owner:
            kind = "method"
        signature = _clipped(line.strip().rstrip("{").strip())
        found.append(Symbol(name, kind, path, number, _end(lines, number), signature))
    return found


def _end(lines: Sequence[str], start: int) -> int:
    """An estimate of the last line of the definition in line `start`."""
    depth = _depth(lines[start - 1])
    last = start
    for number in range(start + 1, len(lines) + 1):
        line = lines[number - 1]
        if not line.strip():
            continue
        closing = line.lstrip().startswith(("}", ")", "]", "{", "end"))
        if _depth(line) <= depth and not closing:
            break
        last = number
        if _depth(line) <= depth and line.lstrip().startswith(("}", "end")):
            break
    return last


def _depth(line: str) -> int:
    bare = line.expandtabs(4)
    return len(bare) - len(bare.lstrip())
