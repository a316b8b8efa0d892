"""What somebody asks the index for: words, or a form such as `calls:NAME`, with filters.

def:NAME  ref:NAME  calls:NAME  imports:MODULE  tests:PATH  text:"…"  re:"…"
path:src/**  lang:go  kind:class     (several of one kind: any of them; "-" before: none)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache

from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import LANGUAGES, language_named, language_of
from localagent.code.symbols import Symbol
from localagent.core.errors import UsageError

FORMS = ("def", "ref", "calls", "imports", "tests", "text", "re")
FILTERS = ("path", "lang", "kind")

SYMBOL_KINDS = ("class", "interface", "struct", "enum", "type", "module", "function", "method",
                "macro", "impl", "rule", "table")  # fmt: skip
FILE_KINDS = ("code", "test", "docs")
_TYPES = frozenset({"class", "interface", "struct", "enum", "type"})

_PART = re.compile(
    rf"(?<!\S)(?P<not>-?)(?P<key>{'|'.join((*FORMS, *FILTERS))}):(?P<value>\"[^\"]+\"|'[^']+'|\S+)"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which files and definitions are wanted; each of these is (wanted, value)."""

    paths: tuple[tuple[bool, str], ...] = ()
    languages: tuple[tuple[bool, str], ...] = ()
    kinds: tuple[tuple[bool, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.paths or self.languages or self.kinds)

    def file(self, path: str) -> bool:
        """Whether a file is wanted."""
        return (
            _any(self.paths, lambda glob: _glob(glob).match(path) is not None)
            and _any(self.languages, lambda name: language_of(path) == name)
            and _any(_only(self.kinds, FILE_KINDS), lambda kind: _kind_of(path) == kind)
        )

    def symbol(self, symbol: Symbol) -> bool:
        """Whether a definition is wanted, wherever it is."""
        return _any(_only(self.kinds, SYMBOL_KINDS), lambda kind: _is_kind(symbol, kind))

    @property
    def of_symbols(self) -> bool:
        """Whether some kind of definition is wanted, or is not."""
        return bool(_only(self.kinds, SYMBOL_KINDS))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: `form` is one of FORMS with its `value`, or "" for the `words` alone."""

    form: str
    value: str
    words: str
    filter: Filter


def read_asked(text: str) -> Asked:
    """Read a question. Several lines (a traceback, say) are words.

    Raises UsageError for two forms, and for a language or kind that is not known.
    """
    if "\n" in text.strip():
        return Asked("", "", text, Filter())
    forms: list[tuple[str, str]] = []
    filters: dict[str, list[tuple[bool, str]]] = {name: [] for name in FILTERS}
    for match in _PART.finditer(text):
        key, value = match["key"], match["value"].strip("\"'")
        if key in FORMS:
            forms.append((key, value))
        else:
            filters[key] += ((not match["not"], one) for one in _values(key, value))
    words = " ".join(_PART.sub(" ", text).split())
    if len(forms) > 1:
        first, second = (f"{key}:{value}" for key, value in forms[:2])
        raise UsageError(f"{first} and {second} cannot be asked at once", "ask for one of them")
    form, value = forms[0] if forms else ("", "")
    if form and words:
        raise UsageError(
            f"{form}:{value} takes no words beside it: {words[:60]!r}",
            f'quote what has blanks: {form}:"two words"',
        )
    chosen = Filter(tuple(filters["path"]), tuple(filters["lang"]), tuple(filters["kind"]))
    return Asked(form, value, words, chosen)


def _values(key: str, value: str) -> Iterator[str]:
    for one in value.split(","):
        if key == "lang" and not language_named(one):
            raise UsageError(f"no language {one!r} is known", f"one of {', '.join(LANGUAGES)}")
        if key == "kind" and one not in (*SYMBOL_KINDS, *FILE_KINDS):
            kinds = ", ".join((*FILE_KINDS, *SYMBOL_KINDS))
            raise UsageError(f"there is no kind {one!r}", f"one of {kinds}")
        yield language_named(one) if key == "lang" else one


def _any(wanted: tuple[tuple[bool, str], ...], holds: object) -> bool:
    """Whether any value that is wanted holds, and none that is not."""
    assert callable(holds)
    yes = [value for is_wanted, value in wanted if is_wanted]
    no = [value for is_wanted, value in wanted if not is_wanted]
    return (not yes or any(map(holds, yes))) and not any(map(holds, no))


def _only(
    kinds: tuple[tuple[bool, str], ...], names: tuple[str, ...]
) -> tuple[tuple[bool, str], ...]:
    return tuple(one for one in kinds if one[1] in names)


def _kind_of(path: str) -> str:
    return "test" if is_test(path) else "docs" if is_docs(path) else "code"


def _is_kind(symbol: Symbol, kind: str) -> bool:
    if kind == "class":  # what other languages call a struct is no surprise here
        return symbol.kind in _TYPES
    return symbol.kind == kind or (kind == "function" and symbol.kind == "method")


@lru_cache(maxsize=64)
def _glob(glob: str) -> re.Pattern[str]:
    """`**` means any folders, `*` no slash; a folder means all that is below it."""
    bare = glob.removeprefix("./").rstrip("/")
    if not any(mark in bare for mark in "*?["):
        return re.compile(rf"{re.escape(bare)}(?:/|$)")
    marked = bare.replace("**/", "\0").replace("**", "\1")
    pattern = translate(marked).replace(".*", "[^/]*")
    return re.compile(pattern.replace("\0", "(?:.*/)?").replace("\1", ".*"))
