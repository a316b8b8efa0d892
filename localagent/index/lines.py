"""Lines that have a text, or match a regular expression: read from the files, as they are now.

The index only tells which files need not be read (`grams`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from localagent.core.errors import UsageError
from localagent.edits.textfile import decode, is_binary
from localagent.index.base import Reference
from localagent.index.digest import MAX_BYTES
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
