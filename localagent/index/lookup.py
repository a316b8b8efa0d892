"""The answer to a question that has a form (`index/asked.py`): places in files."""

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
from localagent.index.query import Asked
from localagent.index.relations import Relations
from localagent.workspace.workspace import Workspace

_MAX_TEXT = 160
_BEYOND = ("(?!", "(?<!", "(?>", "++", "*+", "?+", "}+", "\\A", "\\Z")
MOST_IN_FILE = 20
"""Lines of one file: the next file says more than more of the same."""


def pattern_of(text: str, *, regex: bool) -> re.Pattern[str]:
    """What to look for. Raises UsageError for an expression that is none."""
    try:
        return re.compile(text if regex else re.escape(text))
    except re.error as error:
        raise UsageError(
            f"{text!r} is no regular expression: {error}", 'text:"…" looks for the text itself'
        ) from None


def lines_with(
    workspace: Workspace, paths: Iterable[str], pattern: re.Pattern[str], literal: str = ""
) -> Iterator[Reference]:
    """The lines of these files that have it, file by file; what has it holds `literal`."""
    # A look at the whole text is quicker; but what looks beyond a line's end is for lines alone.
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
        if literal not in text:  # many times as quick as an expression
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
"""Places that are shown where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file (0: the whole file). `kind` is a definition's, or "call", "import",
    "mention", "test"; `name` is the definition's, or the one that the line is in."""

    path: str
    line: int
    end_line: int
    kind: str
    name: str
    text: str
    note: str = ""

    def as_json(self) -> dict[str, object]:
        """For programs; what is not known is left out."""
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


def places(index: DiskIndex, workspace: Workspace, asked: Asked, limit: int) -> Sequence[Place]:
    """The first `limit` places, a repository's own code before tests and copies of others'."""
    relations = index.relations()
    if relations is None:
        return []
    return list(islice(_places(index, workspace, asked, relations), limit))


def _places(
    index: DiskIndex, workspace: Workspace, asked: Asked, relations: Relations
) -> Iterator[Place]:
    wanted = asked.filter.file
    if asked.form == "def":
        for symbol in relations.definitions(asked.value):
            if wanted(symbol.path) and asked.filter.symbol(symbol):
                yield _of_symbol(symbol, index)
    elif asked.form in ("ref", "calls"):
        found = relations.references(asked.value, calls_only=asked.form == "calls", only=wanted)
        yield from map(_of_reference, found)
    elif asked.form == "imports":
        written = asked.value if workspace.exists(asked.value) else ""
        name = workspace.relative(written) if written else asked.value
        yield from (_of_reference(r) for r in relations.importers(name) if wanted(r.path))
    elif asked.form == "tests":
        for path in filter(wanted, relations.tests_for(workspace.relative(asked.value))):
            yield Place(path, 0, 0, "test", "", "")
    else:
        regex = asked.form == "re"
        pattern = pattern_of(asked.value, regex=regex)
        likely = index.may_have(asked.value, index.files(), regex=regex, fresh=True)
        paths = sorted(filter(wanted, likely), key=relations.later)
        kinds = asked.filter if asked.filter.of_symbols else None
        for one in lines_with(workspace, paths, pattern, "" if regex else asked.value):
            around = relations.around(one.path, one.line)
            if kinds is None or (around is not None and kinds.symbol(around)):
                owner = around.name if around is not None else ""
                yield _of_reference(replace(one, owner=owner))


def _of_symbol(symbol: Symbol, index: DiskIndex) -> Place:
    """A definition, with what documents it: that is read from the file as it is now."""
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
