"""Reads a request such as "split the column name of members into first_name and last_name"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localagent.agent.migration.model_classes import ColumnSplit, MappedColumn

_SPLIT = re.compile(r"\bsplit", re.IGNORECASE)
_WORD = r"[`'\"]?[a-z_]\w*[`'\"]?"
# "street and city, at the comma" names two columns, "street, zip and city" three
_NEW = re.compile(
    r"\b(?:into|in)\b(?: the| two| three| new)*(?: columns?)?:?\s+"
    rf"(?P<names>{_WORD}(?:\s*,\s*{_WORD})*?\s*,?\s*(?:\band\b|&|\+)\s*{_WORD}"
    rf"|{_WORD}(?:\s*,\s*{_WORD})+)"
)
_NAME = re.compile(r"[a-z_]\w*")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”")


def may_split(request: str) -> bool:
    """Whether the request may ask for the split of a column."""
    return _SPLIT.search(request) is not None and bool(new_names(request))


def new_names(request: str) -> tuple[str, ...]:
    """The names of the new columns, or ()."""
    for match in _NEW.finditer(request):
        names = [name for name in _NAME.findall(match["names"]) if name != "and"]
        if len(names) > 1 and len(set(names)) == len(names):
            return tuple(names)
    return ()


def requested_splits(request: str, columns: Sequence[MappedColumn]) -> list[ColumnSplit]:
    """The splits that the request may mean; one where it is clear, none where it is no split."""
    parts = new_names(request)
    before = _NEW.split(request)[0]
    named = [c for c in columns if _contains(before, c.name) and c.name not in parts]
    # "the column name": the word after "column" is the column, whatever else is named
    exact = [c for c in named if _contains(before, f"columns? [`'\"]?(?:{c.table}\\.)?{c.name}")]
    named = exact or named
    owned = [c for c in named if _contains(before, c.table) or _contains(before, c.class_name)]
    known = {(c.class_name, c.name) for c in columns}
    return [
        ColumnSplit(c, parts)
        for c in owned or named
        if not any((c.class_name, part) in known for part in parts)
    ]


def examples_of(request: str, count: int) -> list[tuple[str, tuple[str, ...]]]:
    """The examples in quotes: a value, and then its `count` parts, which the value contains."""
    quoted = [first or second for first, second in _QUOTED.findall(request)]
    found = []
    for at, value in enumerate(quoted[:-count] if count else ()):
        parts = quoted[at + 1 : at + 1 + count]
        if len(parts) == count and all(part in value and part != value for part in parts):
            found.append((value, tuple(parts)))
    return found


def _contains(text: str, pattern: str) -> bool:
    return re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) is not None
