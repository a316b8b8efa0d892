"""The hunks of a unified diff, with the lines that they touch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

_HEADER = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_MODE = re.compile(r"(?:new file mode|new mode|index [0-9a-f]+\.\.[0-9a-f]+) ([0-7]{6})")
_KINDS: dict[str, Literal["link", "submodule"]] = {"120000": "link", "160000": "submodule"}
# git quotes a path as C quotes a string: an escape is a letter, or three octal digits of a byte.
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk. `path` is the file's new path, and `old_path` its old one ("" for a new file).

    `start` is the number of the first line on the new side. `lines` keep their sign. The line of a
    link is its target, and that of a submodule names its commit.
    """

    path: str
    old_path: str
    start: int
    lines: tuple[str, ...]
    kind: Literal["file", "link", "submodule"] = "file"

    @property
    def added(self) -> dict[int, str]:
        """The added lines by their numbers on the new side."""
        return {number: line[1:] for number, line in self._numbered() if line[:1] == "+"}

    def numbered(self) -> str:
        """The hunk as text, with the numbers of the new side before its lines."""
        rows = (
            f"{'' if line[:1] == '-' else number:>5} {line}" for number, line in self._numbered()
        )
        return "\n".join(rows)

    def _numbered(self) -> Iterator[tuple[int, str]]:
        """Each line with its number on the new side; a removed line has that of the next line."""
        number = self.start
        for line in self.lines:
            yield number, line
            number += line[:1] != "-"


def parse_hunks(diff: str) -> list[Hunk]:
    """The hunks of a diff as git prints it, without those of deleted and binary files.

    The diff must have the prefixes a/ and b/.
    """
    headers: list[tuple[Hunk, list[str]]] = []
    old = new = ""
    kind: Literal["file", "link", "submodule"] = "file"
    left = 0
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            old = new = ""
            kind = "file"
            left = -1
        elif left < 0 and (mode := _MODE.match(line)):
            kind = _KINDS.get(mode[1], "file")
        elif left < 0 and line.startswith("--- "):
            old = _path(line[4:], "a/")
        elif left < 0 and line.startswith("+++ "):
            new = _path(line[4:], "b/")
        elif header := _HEADER.match(line):
            left = 0
            if new:
                headers.append((Hunk(new, old, int(header[1]), (), kind), []))
        elif left == 0 and new and headers and line[:1] in ("+", "-", " "):
            headers[-1][1].append(line)
    return [replace(hunk, lines=tuple(lines)) for hunk, lines in headers]


def _path(text: str, prefix: str) -> str:
    r"""The path of a line "--- a/x" or "--- \"a/\303\251\""; "" for /dev/null."""
    name = text.split("\t")[0]
    if name.startswith('"'):
        data = _ESCAPE.sub(lambda match: _byte(match[1]), name[1:-1].encode())
        name = os.fsdecode(data)
    return name.removeprefix(prefix) if name.startswith(prefix) else ""


def _byte(escape: bytes) -> bytes:
    return bytes([int(escape, 8) if escape.isdigit() else _LETTERS.get(escape[0], escape[0])])
