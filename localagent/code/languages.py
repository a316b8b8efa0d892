"""The languages of files: one table, and `language_of(path)` to ask it.

To add a language:

1. Add a `Language` to `_TABLE` below: its name, its title, its suffixes, its line comment.
2. If tree-sitter has a grammar for it, add the package to `pyproject.toml` and to the lock of
   `scripts/lock`. The grammar is the function `language` of `tree_sitter_<name>`; `grammar` names
   another function. Add the capability "grammar_check".
3. To find definitions, calls and imports, write `code/queries/<name>.scm` with the captures that
   `code/structure.py` documents. Add the capability "definitions", and a sample to
   `tests/unit/code/test_structure.py`, which fails without one.

The other capabilities need code in the harness. Each says below which module has that code.
"""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import splitext
from typing import Literal

Capability = Literal[
    "definitions",  # a query finds definitions, calls and imports (code/structure)
    "grammar_check",  # an edit that adds syntax errors to a file is refused (code/syntax_check)
    "syntax_check",  # the language's own parser accepts or refuses a text (code/syntax_check)
    "structural_edit",  # one definition can be replaced or added (edits/python_definitions)
    "mutation",  # candidates come from one changed expression (agent/repair/mutations)
    "fill_in",  # the model fills in a part of a function (agent/repair/strategies)
    "tracing",  # the test runner reports the lines that each test executes (agent/checks/probe)
    "import_analysis",  # imports and special cases are read from the syntax tree (agent/repair)
]


@dataclass(frozen=True, slots=True)
class Language:
    """A language, and what the harness can do with a file of it.

    `name` is the identifier that `lang:` filters take; `title` is for people. `suffixes` are in
    lower case and begin with a dot. `grammar` is "package:function" of a tree-sitter grammar, or
    "". `queries` are the files of `code/queries` that apply. `line_comment` opens a comment, ""
    where the language has none. `test_file` is a regular expression for the end of a test file's
    name before its suffix, where the language has a habit of its own. `fenced` are the suffixes
    whose code blocks carry the name as info string: the prompts that were measured have them.
    `is_code` is false for data and markup. `has_macros`: the grammar alone cannot judge a file.
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

    def can(self, capability: Capability) -> bool:
        """Whether the harness has this capability for files of the language."""
        return capability in self.capabilities


UNKNOWN = Language("", "", ())
"""The language of a file that no language of the table claims; it has no capability."""

_DEFINITIONS: frozenset[Capability] = frozenset({"definitions", "grammar_check"})
_PYTHON: frozenset[Capability] = frozenset(
    (
        *("definitions", "syntax_check", "structural_edit", "mutation", "fill_in", "tracing"),
        "import_analysis",
    )
)
_JVM_TEST = "Tests?|Spec|IT"


def _parsed(
    name: str,
    title: str,
    suffixes: str,
    line_comment: str = "//",
    *,
    aliases: str = "",
    grammar: str = "",
    queries: str = "",
    capabilities: frozenset[Capability] = _DEFINITIONS,
    test_file: str = "",
    fenced: str = "",
    has_macros: bool = False,
) -> Language:
    """A language with a grammar and queries; lists are written as words."""
    return Language(
        name,
        title,
        tuple(suffixes.split()),
        line_comment,
        capabilities,
        tuple(aliases.split()),
        grammar or f"tree_sitter_{name}:language",
        tuple((queries or name).split()),
        test_file,
        tuple(fenced.split()),
        has_macros=has_macros,
    )


_TABLE = (
    _parsed("bash", "shell", ".sh .bash .zsh .bats", "#", aliases="sh shell", fenced=".sh"),
    _parsed("c", "C", ".c .h", fenced=".c .h", has_macros=True),
    _parsed(
        "cpp",
        "C++",
        ".cc .cpp .cxx .c++ .hpp .hh .hxx .ipp .cu .cuh",
        aliases="c++",
        fenced=".cpp",
        has_macros=True,
    ),
    _parsed(
        "csharp",
        "C#",
        ".cs",
        aliases="c# cs",
        grammar="tree_sitter_c_sharp:language",
        test_file=_JVM_TEST,
    ),
    _parsed("css", "CSS", ".css", "", fenced=".css"),
    _parsed("elixir", "Elixir", ".ex .exs", "#", aliases="ex"),
    _parsed("go", "Go", ".go", aliases="golang", fenced=".go"),
    _parsed("haskell", "Haskell", ".hs", "--", aliases="hs"),
    Language("html", "HTML", (".html", ".htm"), fenced=(".html",)),
    _parsed("java", "Java", ".java", test_file=_JVM_TEST, fenced=".java"),
    _parsed(
        "javascript",
        "JavaScript",
        ".js .jsx .mjs .cjs",
        aliases="js jsx",
        queries="javascript jsx",
        fenced=".js",
    ),
    Language(
        "json",
        "JSON",
        (".json",),
        capabilities=frozenset({"syntax_check"}),
        fenced=(".json",),
        is_code=False,
    ),
    _parsed("kotlin", "Kotlin", ".kt .kts", aliases="kt", test_file=_JVM_TEST),
    _parsed("lua", "Lua", ".lua", "--"),
    Language(
        "markdown",
        "Markdown",
        (".md", ".markdown"),
        aliases=("md",),
        fenced=(".md",),
        is_code=False,
    ),
    Language("objective-c", "Objective-C", (".m",), "//", aliases=("objc",)),
    _parsed("php", "PHP", ".php", grammar="tree_sitter_php:language_php", test_file=_JVM_TEST),
    _parsed(
        "python",
        "Python",
        ".py .pyi .pyw",
        "#",
        aliases="py",
        capabilities=_PYTHON,
        fenced=".py",
    ),
    _parsed("ruby", "Ruby", ".rb .rake .gemspec", "#", aliases="rb", fenced=".rb"),
    _parsed("rust", "Rust", ".rs", aliases="rs"),
    _parsed("scala", "Scala", ".scala .sc", test_file=_JVM_TEST),
    Language("sql", "SQL", (".sql",), "--", fenced=(".sql",)),
    Language("svelte", "Svelte", (".svelte",), "//"),
    _parsed("swift", "Swift", ".swift", test_file=_JVM_TEST),
    Language(
        "toml",
        "TOML",
        (".toml",),
        "#",
        frozenset({"definitions", "syntax_check"}),
        grammar="tree_sitter_toml:language",
        queries=("toml",),
        fenced=(".toml",),
        is_code=False,
    ),
    _parsed(
        "tsx",
        "TypeScript",
        ".tsx",
        grammar="tree_sitter_typescript:language_tsx",
        queries="typescript jsx",
    ),
    _parsed(
        "typescript",
        "TypeScript",
        ".ts .mts .cts",
        aliases="ts",
        grammar="tree_sitter_typescript:language_typescript",
        fenced=".ts",
    ),
    Language("vue", "Vue", (".vue",), "//"),
    Language(
        "yaml",
        "YAML",
        (".yaml", ".yml"),
        "#",
        aliases=("yml",),
        fenced=(".yaml", ".yml"),
        is_code=False,
    ),
    _parsed("zig", "Zig", ".zig"),
)
LANGUAGES = {language.name: language for language in _TABLE}
"""All languages by name, in the order of their names."""

_BY_SUFFIX = {suffix: language for language in _TABLE for suffix in language.suffixes}
_BY_ALIAS = {alias: language for language in _TABLE for alias in (language.name, *language.aliases)}


def language_of(path: str) -> Language:
    """The language of a file by its suffix, or `UNKNOWN`."""
    return _BY_SUFFIX.get(splitext(path)[1].lower(), UNKNOWN)


def language_named(text: str) -> Language:
    """The language that a user means by `text` ("js", "C++", ".py"), or `UNKNOWN`."""
    return _BY_ALIAS.get(text.lower().lstrip("."), UNKNOWN)


def fence_info(path: str) -> str:
    """The info string of a code block with text of `path`, "" for a bare fence."""
    language = language_of(path)
    return language.name if splitext(path)[1].lower() in language.fenced else ""
