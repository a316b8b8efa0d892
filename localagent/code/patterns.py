"""What definitions look like, line by line, in languages that are not parsed.

Conservative: a pattern that misses a definition costs a hint, one that finds a call as a
definition misleads. `name` is the name, `owner` the type that a method belongs to where the line
says so. No pattern has a repetition inside a repetition of the same characters, so that none can
take long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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

_SUFFIXES = {
    "javascript": (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".vue", ".svelte"),
    "c": (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".m"),
    "java": (".java", ".cs"),
    "kotlin": (".kt", ".kts"),
    "swift": (".swift",),
    "scala": (".scala",),
    "go": (".go",),
    "rust": (".rs",),
    "ruby": (".rb",),
    "php": (".php",),
    "shell": (".sh", ".bash", ".zsh"),
    "lua": (".lua",),
    "elixir": (".ex", ".exs"),
}
LANGUAGES = {suffix: language for language, all_ in _SUFFIXES.items() for suffix in all_}
