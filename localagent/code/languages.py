"""The languages that files are in, by their names' endings."""

from __future__ import annotations

from pathlib import PurePosixPath

_SUFFIXES = {
    "bash": (".sh", ".bash", ".zsh", ".bats"),
    "c": (".c", ".h"),
    "cpp": (".cc", ".cpp", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".ipp", ".cu", ".cuh"),
    "csharp": (".cs",),
    "css": (".css",),
    "elixir": (".ex", ".exs"),
    "go": (".go",),
    "haskell": (".hs",),
    "html": (".html", ".htm"),
    "java": (".java",),
    "javascript": (".js", ".jsx", ".mjs", ".cjs"),
    "json": (".json",),
    "kotlin": (".kt", ".kts"),
    "lua": (".lua",),
    "markdown": (".md", ".markdown"),
    "php": (".php",),
    "python": (".py", ".pyi", ".pyw"),
    "ruby": (".rb", ".rake", ".gemspec"),
    "rust": (".rs",),
    "scala": (".scala", ".sc"),
    "swift": (".swift",),
    "toml": (".toml",),
    "tsx": (".tsx",),
    "typescript": (".ts", ".mts", ".cts"),
    "yaml": (".yaml", ".yml"),
    "zig": (".zig",),
}
_BY_SUFFIX = {suffix: name for name, suffixes in _SUFFIXES.items() for suffix in suffixes}

LANGUAGES = tuple(_SUFFIXES)
"""All languages that have a grammar."""

WITHOUT_QUERIES = frozenset({"html", "json", "markdown", "yaml"})
"""Languages that define nothing that others would call; they are parsed for faults only."""

_OTHER_NAMES = {
    "c#": "csharp", "cs": "csharp", "c++": "cpp", "js": "javascript", "jsx": "javascript",
    "ts": "typescript", "py": "python", "rb": "ruby", "rs": "rust", "golang": "go", "sh": "bash",
    "shell": "bash", "yml": "yaml", "md": "markdown", "kt": "kotlin", "hs": "haskell",
    "ex": "elixir",
}  # fmt: skip


def language_of(path: str) -> str:
    """The language of a file by its name, "" where it is none of `LANGUAGES`."""
    return _BY_SUFFIX.get(PurePosixPath(path).suffix.lower(), "")


def language_named(written: str) -> str:
    """The language that somebody means by `written` ("js", "C++"), "" where it is not known."""
    name = written.lower().lstrip(".")
    name = _OTHER_NAMES.get(name, name)
    return name if name in _SUFFIXES else ""


def suffixes(language: str) -> tuple[str, ...]:
    """The endings of the names of this language's files."""
    return _SUFFIXES[language]
