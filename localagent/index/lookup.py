"""Answers a query that has a form (see `index/query.py`) by places in files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from localagent.code.symbols import Symbol
from localagent.core.errors import UsageError
from localagent.edits.textfile import decode, is_binary
from localagent.index.base import Reference
from localagent.index.digest import MAX_BYTES
from localagent.index.disk import DiskIndex
from localagent.index.query import FieldQuery
from localagent.index.relations import Relations
from localagent.workspace.workspace import Workspace

_MAX_TEXT = 160
_BEYOND = ("(?!", "(?<!", "(?>", "++", "*+", "?+", "}+", "\\A", "\\Z")
MOST_IN_FILE = 20
"""Most lines from one file, so that the answer covers more files."""


def pattern_of(text: str, *, regex: bool) -> re.Pattern[str]:
    """Compile a text or a regular expression. Raises UsageError for an invalid expression."""
    try:
        return re.compile(text if regex else re.escape(text))
    except re.error as error:
        raise UsageError(
            f"{text!r} is not a valid regular expression: {error}",
            'text:"…" searches for the literal text',
        ) from None


def matching_lines(
    workspace: Workspace, paths: Iterable[str], pattern: re.Pattern[str], literal: str = ""
) -> Iterator[Reference]:
    """The matching lines of these files, file by file; every match contains `literal`."""
    # Matching the whole text first is faster. Patterns that look past a line's end are matched line
    # by line.
    alone = any(mark in pattern.pattern for mark in _BEYOND)
    whole = None if alone else re.compile(pattern.pattern, re.MULTILINE)
    for path in paths:
        try:
            data = workspace.read_listed(path, MAX_BYTES + 1)
        except OSError:
            continue
        if len(data) > MAX_BYTES or is_binary(data):
            continue
        text = decode(data).text
        if literal not in text:  # many times faster than a regular expression
            continue
        if whole is not None and whole.search(text) is None:
            continue
        found = 0
        for number, line in enumerate(text.split("\n"), 1):
            if pattern.search(line):
                yield Reference(path, number, "mention", "", line.strip()[:_MAX_TEXT])
                found += 1
                if found >= MOST_IN_FILE:
                    break


PLACES = 50
"""Default number of places in an answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; line 0 means the whole file.

    `kind` is the kind of a definition, or "call", "import", "mention" or "test". `name` is the name
    of the definition, or of the definition around the line.
    """

    path: str
    line: int
    end_line: int
    kind: str
    name: str
    text: str
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """The fields that have a value, as JSON for programs."""
        fields = {
            "path": self.path,
            "line": self.line,
            "end_line": self.end_line,
            "kind": self.kind,
            "name": self.name,
            "text": self.text,
            "note": self.note,
        }
        return {key: value for key, value in fields.items() if value}


def places(
    index: DiskIndex, workspace: Workspace, query: FieldQuery, limit: int
) -> Sequence[Place]:
    """The first `limit` places: first in own code, then in tests, then in vendored code."""
    relations = index.relations()
    if relations is None:
        return []
    return list(islice(_places(index, workspace, query, relations), limit))


def _places(
    index: DiskIndex, workspace: Workspace, query: FieldQuery, relations: Relations
) -> Iterator[Place]:
    wanted = query.filter.file
    if query.form == "def":
        for symbol in relations.definitions(query.value):
            if wanted(symbol.path) and query.filter.symbol(symbol):
                yield _of_symbol(symbol, index)
    elif query.form in ("ref", "calls"):
        found = relations.references(query.value, calls_only=query.form == "calls", only=wanted)
        yield from map(_of_reference, found)
    elif query.form == "imports":
        path = query.value if workspace.exists(query.value) else ""
        name = workspace.relative(path) if path else query.value
        yield from (_of_reference(r) for r in relations.importers(name) if wanted(r.path))
    elif query.form == "tests":
        for path in filter(wanted, relations.tests_for(workspace.relative(query.value))):
            yield Place(path, 0, 0, "test", "", "")
    else:
        regex = query.form == "re"
        pattern = pattern_of(query.value, regex=regex)
        likely = index.may_have(query.value, index.files(), regex=regex, fresh=True)
        paths = sorted(filter(wanted, likely), key=relations.sort_key)
        kinds = query.filter if query.filter.of_symbols else None
        for one in matching_lines(workspace, paths, pattern, "" if regex else query.value):
            around = relations.enclosing(one.path, one.line)
            if kinds is None or (around is not None and kinds.symbol(around)):
                owner = around.name if around is not None else ""
                yield _of_reference(replace(one, owner=owner))


def _of_symbol(symbol: Symbol, index: DiskIndex) -> Place:
    """The place of a definition, with the summary from the current file."""
    now = next(
        (s for s in index.symbols(symbol.path) if (s.name, s.line) == (symbol.name, symbol.line)),
        symbol,
    )
    return Place(
        symbol.path,
        symbol.line,
        symbol.end_line,
        symbol.kind,
        symbol.name,
        symbol.signature or symbol.name,
        now.summary,
    )


def _of_reference(one: Reference) -> Place:
    note = f"in {one.owner}" if one.owner else ""
    return Place(one.path, one.line, 0, one.role, one.owner, one.text, note)
