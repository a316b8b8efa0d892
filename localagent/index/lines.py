"""Lines that have a text, or match a regular expression: read from the files, not from the index.

No trigrams are kept: they would double the index, and the files of three million lines are read in
a second or two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from localagent.edits.textfile import is_binary
from localagent.errors import UsageError
from localagent.index.base import Reference
from localagent.index.digest import MAX_BYTES
from localagent.workspace import Workspace

_MAX_TEXT = 160
MOST_IN_FILE = 20
"""Lines of one file: the next file says more than more of the same."""


def pattern_of(text: str, *, regex: bool) -> re.Pattern[bytes]:
    """What to look for. Raises UsageError for an expression that is none."""
    try:
        return re.compile(text.encode() if regex else re.escape(text.encode()))
    except re.error as error:
        raise UsageError(
            f"{text!r} is no regular expression: {error}", 'text:"…" looks for the text itself'
        ) from None


def lines_with(
    workspace: Workspace, paths: Iterable[str], pattern: re.Pattern[bytes]
) -> Iterator[Reference]:
    """The lines of these files that have it, file by file."""
    for path in paths:
        try:
            data = workspace.read_listed(path, MAX_BYTES + 1)
        except OSError:
            continue
        if len(data) > MAX_BYTES or pattern.search(data) is None or is_binary(data):
            continue
        found = 0
        for number, line in enumerate(data.split(b"\n"), 1):
            if pattern.search(line):
                shown = line.decode("utf-8", "replace").strip()[:_MAX_TEXT]
                yield Reference(path, number, "mention", "", shown)
                found += 1
                if found >= MOST_IN_FILE:
                    break
