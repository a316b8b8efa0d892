"""Parses queries: fields and filters, identifiers, paths, and traceback frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import LANGUAGES, language_by_name, language_of
from localagent.code.symbols import Symbol
from localagent.code.tracebacks import frames
from localagent.core.errors import UsageError
from localagent.index import tokenizer
from localagent.workspace.gitignore import path_matches

FORMS = ("def", "ref", "calls", "imports", "tests", "text", "re")
FILTERS = ("path", "lang", "kind")

SYMBOL_KINDS = ("class", "interface", "struct", "enum", "type", "module", "function", "method",
                "macro", "impl", "rule", "table")  # fmt: skip
FILE_KINDS = ("code", "test", "docs")
_TYPES = frozenset({"class", "interface", "struct", "enum", "type"})

_FIELD = re.compile(
    rf"(?<!\S)(?P<not>-?)(?P<key>{'|'.join((*FORMS, *FILTERS))}):(?P<value>\"[^\"]+\"|'[^']+'|\S+)"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Selects files and definitions; each entry of a field is (include, value)."""

    paths: tuple[tuple[bool, str], ...] = ()
    languages: tuple[tuple[bool, str], ...] = ()
    kinds: tuple[tuple[bool, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.paths or self.languages or self.kinds)

    def file(self, path: str) -> bool:
        """Whether the filter selects a file."""
        return (
            _any(self.paths, lambda glob: _in_path(glob, path))
            and _any(self.languages, lambda name: language_of(path).name == name)
            and _any(_only(self.kinds, FILE_KINDS), lambda kind: _kind_of(path) == kind)
        )

    def symbol(self, symbol: Symbol) -> bool:
        """Whether the filter selects a definition, apart from the filter's conditions on files."""
        return _any(_only(self.kinds, SYMBOL_KINDS), lambda kind: _is_kind(symbol, kind))

    @property
    def of_symbols(self) -> bool:
        """Whether the filter names kinds of definitions."""
        return bool(_only(self.kinds, SYMBOL_KINDS))


@dataclass(frozen=True, slots=True)
class FieldQuery:
    """A query with fields: `form` is one of FORMS with its `value`, or "" for `words` only."""

    form: str
    value: str
    words: str
    filter: Filter


def parse_fields(text: str) -> FieldQuery:
    """Parse a query from the command line or chat. A query of several lines has only words.

    Raises UsageError for a query with two forms, an unknown language or an unknown kind.
    """
    if "\n" in text.strip():
        return FieldQuery("", "", text, Filter())
    forms: list[tuple[str, str]] = []
    filters: dict[str, list[tuple[bool, str]]] = {name: [] for name in FILTERS}
    for match in _FIELD.finditer(text):
        key, value = match["key"], match["value"].strip("\"'")
        if key in FORMS:
            forms.append((key, value))
        else:
            filters[key] += ((not match["not"], one) for one in _values(key, value))
    words = " ".join(_FIELD.sub(" ", text).split())
    if len(forms) > 1:
        first, second = (f"{key}:{value}" for key, value in forms[:2])
        raise UsageError(f"{first} and {second} cannot be combined", "use only one of them")
    form, value = forms[0] if forms else ("", "")
    if form and words:
        raise UsageError(
            f"{form}:{value} cannot be combined with the words {words[:60]!r}",
            f'quote a value that has spaces: {form}:"two words"',
        )
    chosen = Filter(tuple(filters["path"]), tuple(filters["lang"]), tuple(filters["kind"]))
    return FieldQuery(form, value, words, chosen)


def _values(key: str, value: str) -> Iterator[str]:
    for one in value.split(","):
        if key == "lang" and not language_by_name(one).name:
            raise UsageError(
                f"unknown language {one!r}", f"the languages are {', '.join(LANGUAGES)}"
            )
        if key == "kind" and one not in (*SYMBOL_KINDS, *FILE_KINDS):
            kinds = ", ".join((*FILE_KINDS, *SYMBOL_KINDS))
            raise UsageError(f"unknown kind {one!r}", f"the kinds are {kinds}")
        yield language_by_name(one).name if key == "lang" else one


def _any(wanted: tuple[tuple[bool, str], ...], holds: object) -> bool:
    """Whether `test` holds for an included value and for no excluded value."""
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
    if kind == "class":  # "class" also selects structs, enums and types of other languages
        return symbol.kind in _TYPES
    return symbol.kind == kind or (kind == "function" and symbol.kind == "method")


def _in_path(glob: str, path: str) -> bool:
    """Whether `path` matches a pattern in the syntax of .gitignore, anchored at the root."""
    return path_matches("/" + glob.removeprefix("./").lstrip("/"), path)


_MAX_CHARS = 20_000
_MAX_TERMS = 60
_LOOKED_UP = 40
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PATH = re.compile(r"[\w@+~.-]*(?:/[\w@+~.-]+)+|[\w@+~-]+\.[A-Za-z]\w{0,7}\b")
_MODULE = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b")
# Keys that users name, and the words that code has for what they cause.
_KEYS = (
    (re.compile(r"\bctrl[-+ ]?c\b", re.I), ("keyboardinterrupt", "sigint")),
    (re.compile(r"\bctrl[-+ ]?d\b", re.I), ("eoferror", "eof")),
)
# Words that every text contains.
_ENGLISH = """
    a an and are as at be but by can cannot could do does done for from get gets has have how i
    if in into is it its just let like make makes may me must my need needs new no not now of off
    on only or other our out please shall should so some such than that the their them then there
    these they this to too up us use used uses using want was we what when where which while who
    why will with without work works would you your
"""
_STOP = frozenset(_ENGLISH.split())


@dataclass(frozen=True, slots=True)
class Query:
    """The parts of a query without a form.

    `terms` maps lower-case words to weights; a whole identifier weighs more than its parts. `paths`
    are texts that look like paths. `frames` are (path, line), outermost first.
    """

    terms: dict[str, float]
    paths: tuple[str, ...]
    frames: tuple[tuple[str, int], ...]


def parse_query(text: str) -> Query:
    """Parse a task, an error message or a list of identifiers.

    Common words are kept, because the search weighs each word by its rareness.
    """
    text = text[:_MAX_CHARS]
    paths = dict.fromkeys(match.rstrip(".") for match in _PATH.findall(text))
    paths |= dict.fromkeys(match.replace(".", "/") for match in _MODULE.findall(text))
    return Query(_terms(text), tuple(paths), tuple(frames(text)))


def search_words(query: Query) -> list[str]:
    """The stored words that match the query's terms of greatest weight, each word once."""
    terms = sorted(query.terms, key=lambda term: -query.terms[term])[:_LOOKED_UP]
    return list(dict.fromkeys(word for term in terms for word in tokenizer.query_words(term)))


def _terms(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    quoted = set(re.findall(r"[`'\"]([A-Za-z_]\w*)(?:\(\))?[`'\"]", text))
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word)]
        compound = len(parts) > 1 and ("_" in word.strip("_") or word.lower() != word)
        if compound and len(word) > 3:
            _raise(weights, word.lower(), 3.0)
        for part in parts if compound else [word.lower().strip("_")]:
            if len(part) > 2 and part not in _STOP and not part.isdigit():
                _raise(weights, part, 2.0 if word in quoted and not compound else 1.0)
    for key, words in _KEYS:
        if key.search(text):
            for word in words:
                _raise(weights, word, 1.0)
    heaviest = sorted(weights.items(), key=lambda item: -item[1])[:_MAX_TERMS]
    return dict(heaviest)


def _raise(weights: dict[str, float], term: str, weight: float) -> None:
    weights[term] = max(weight, weights.get(term, 0.0))
