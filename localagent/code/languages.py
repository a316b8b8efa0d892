"""The table of languages, and `language_of(path)`, which looks up a file's language.

To add a language:

1. Add a row to `_TABLE` below: its name, title, suffixes, line comment, capabilities.
2. If tree-sitter has a grammar for it, add the package to `pyproject.toml` and to the lock of
   `scripts/lock`. The grammar is the function `language` of `tree_sitter_<name>`; `grammar` names
   another function. Add the capability "grammar_check".
3. To find definitions, calls and imports, write `code/queries/<name>.scm` with the captures that
   `code/structure.py` documents. Add the capability "definitions", and a sample to
   `tests/integration/code/test_structure.py`, which fails without one.

The other capabilities need code in the harness. The comment on each capability below names the
module with that code.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import splitext
from typing import Literal, get_args

Capability = Literal[
    "definitions",  # queries find definitions, calls and imports (code/structure)
    "grammar_check",  # an edit that adds syntax errors to a file is refused (code/syntax_check)
    "syntax_check",  # the language's own parser checks a text (code/syntax_check)
    "structural_edit",  # one definition can be replaced or added (edits/python_definitions)
    "mutation",  # candidates come from one changed expression (agent/repair/mutations)
    "fill_in",  # the model fills in a part of a function (agent/repair/strategies)
    "tracing",  # the test runner reports the lines that each test executes (agent/checks/probe)
    "import_analysis",  # imports and special cases are read from the syntax tree (agent/repair)
]


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and what the harness can do with a file in this language.

    `name` is the identifier in `lang:` filters; `title` is the name for people. `suffixes` are in
    lower case and begin with a dot. `grammar` is "package:function" of a tree-sitter grammar, or
    "". `queries` are the files in `code/queries` that apply. `line_comment` opens a comment; ""
    means that the language has no line comments. `test_file` matches the end of a test file's name
    before its suffix, if the language has a convention. `fenced` are the suffixes whose code blocks
    have `name` as info string, as in the prompts that were measured. `is_code` is false for data
    and prose. `has_macros` says that a grammar alone cannot find a file's syntax errors.
    `scripts_only` says that the grammar reads only the content of <script> elements.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    line_comment: str = ""
    capabilities: frozenset[Capability] = frozenset()
    aliases: tuple[str, ...] = ()
    grammar: str = ""
    queries: tuple[str, ...] = ()
    test_file: str = ""
    fenced: tuple[str, ...] = ()
    is_code: bool = True
    has_macros: bool = False
    scripts_only: bool = False

    def can(self, capability: Capability) -> bool:
        """Whether the harness has this capability for files in the language."""
        return capability in self.capabilities


UNKNOWN = Language("", "", ())
"""The language of a file whose suffix is not in the table; it has no capabilities."""


def _row(
    name: str, title: str, suffixes: str, line_comment: str, can: str, aliases: str = "",
    *, grammar: str = "", queries: str = "", test_file: str = "", fenced: str = "", **flags: bool,
) -> Language:  # fmt: skip
    """Make a row of the table; lists are words, grammar and query have the language's name."""
    parsed = "definitions" in can or "grammar_check" in can
    capabilities = frozenset(word for word in get_args(Capability) if word in can.split())
    return Language(
        name,
        title,
        tuple(suffixes.split()),
        line_comment,
        capabilities,
        tuple(aliases.split()),
        grammar or (f"tree_sitter_{name}:language" if parsed else ""),
        tuple((queries or name).split()) if "definitions" in can else (),
        test_file,
        tuple(fenced.split()),
        **flags,
    )


_BOTH = "definitions grammar_check"
_CPP = ".cc .cpp .cxx .c++ .hpp .hh .hxx .ipp .cu .cuh"
_JVM = "Tests?|Spec|IT"
_PYTHON = "definitions syntax_check structural_edit mutation fill_in tracing import_analysis"
_TS = "tree_sitter_typescript:language_typescript"
_TSX = "tree_sitter_typescript:language_tsx"
_TABLE = (
    _row("bash", "shell", ".sh .bash .zsh .bats", "#", _BOTH, "sh shell", fenced=".sh"),
    _row("c", "C", ".c .h", "//", _BOTH, fenced=".c .h", has_macros=True),
    _row("cpp", "C++", _CPP, "//", _BOTH, "c++", fenced=".cpp", has_macros=True),
    _row("csharp", "C#", ".cs", "//", _BOTH, "c# cs",
         grammar="tree_sitter_c_sharp:language", test_file=_JVM),
    _row("css", "CSS", ".css", "", _BOTH, fenced=".css"),
    _row("elixir", "Elixir", ".ex .exs", "#", _BOTH, "ex"),
    _row("go", "Go", ".go", "//", _BOTH, "golang", fenced=".go"),
    _row("haskell", "Haskell", ".hs", "--", _BOTH, "hs"),
    _row("html", "HTML", ".html .htm", "", "", fenced=".html"),
    _row("java", "Java", ".java", "//", _BOTH, test_file=_JVM, fenced=".java"),
    _row("javascript", "JavaScript", ".js .jsx .mjs .cjs", "//", _BOTH, "js jsx",
         queries="javascript jsx", fenced=".js"),
    _row("json", "JSON", ".json", "", "syntax_check", fenced=".json", is_code=False),
    _row("kotlin", "Kotlin", ".kt .kts", "//", _BOTH, "kt", test_file=_JVM),
    _row("lua", "Lua", ".lua", "--", _BOTH),
    _row("markdown", "Markdown", ".md .markdown", "", "", "md", fenced=".md", is_code=False),
    _row("objective-c", "Objective-C", ".m", "//", "definitions", "objc",
         grammar="tree_sitter_c:language", queries="c"),
    _row("php", "PHP", ".php", "//", _BOTH,
         grammar="tree_sitter_php:language_php", test_file=_JVM),
    _row("python", "Python", ".py .pyi .pyw", "#", _PYTHON, "py", fenced=".py"),
    _row("ruby", "Ruby", ".rb .rake .gemspec", "#", _BOTH, "rb", fenced=".rb"),
    _row("rust", "Rust", ".rs", "//", _BOTH, "rs"),
    _row("scala", "Scala", ".scala .sc", "//", _BOTH, test_file=_JVM),
    _row("sql", "SQL", ".sql", "--", "", fenced=".sql"),
    _row("svelte", "Svelte", ".svelte", "//", "definitions",
         grammar=_TS, queries="typescript", scripts_only=True),
    _row("swift", "Swift", ".swift", "//", _BOTH, test_file=_JVM),
    _row("toml", "TOML", ".toml", "#", "definitions syntax_check", fenced=".toml", is_code=False),
    _row("tsx", "TypeScript", ".tsx", "//", _BOTH, grammar=_TSX, queries="typescript jsx"),
    _row("typescript", "TypeScript", ".ts .mts .cts", "//", _BOTH, "ts", grammar=_TS, fenced=".ts"),
    _row("vue", "Vue", ".vue", "//", "definitions",
         grammar=_TS, queries="typescript", scripts_only=True),
    _row("yaml", "YAML", ".yaml .yml", "#", "", "yml", fenced=".yaml .yml", is_code=False),
    _row("zig", "Zig", ".zig", "//", _BOTH),
)  # fmt: skip
LANGUAGES = {language.name: language for language in _TABLE}
"""All languages by name, sorted by name."""

_BY_SUFFIX = {suffix: language for language in _TABLE for suffix in language.suffixes}
_BY_ALIAS = {alias: language for language in _TABLE for alias in (language.name, *language.aliases)}


def language_of(path: str) -> Language:
    """Look up the language of a file by its suffix; return `UNKNOWN` without one."""
    return _BY_SUFFIX.get(splitext(path)[1].lower(), UNKNOWN)


def language_by_name(text: str) -> Language:
    """The language that a user means by `text` ("js", "C++", ".py"), or `UNKNOWN`."""
    return _BY_ALIAS.get(text.lower().lstrip("."), UNKNOWN)


def fence_info(path: str) -> str:
    """The info string of a code block with text from `path`; "" for a bare fence."""
    language = language_of(path)
    return language.name if splitext(path)[1].lower() in language.fenced else ""
