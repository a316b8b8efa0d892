"""The hunks of a unified diff, with the lines that they touch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class Hunk:
    """One hunk. `path` is the file's new path, and `old_path` its old one ("" for a new file).

    `start` is the number of the first line on the new side. `lines` keep their sign.
    """

    path: str
    old_path: str
    start: int
    lines: tuple[str, ...]

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
    """The hunks of a diff as git prints it, without those of deleted and binary files."""
    hunks: list[Hunk] = []
    old = new = ""
    left = 0
    for line in diff.split("\n"):
        if line.startswith("diff --git "):
            old = new = ""
            left = -1
        elif left < 0 and line.startswith("--- "):
            old = _path(line[4:], "a/")
        elif left < 0 and line.startswith("+++ "):
            new = _path(line[4:], "b/")
        elif header := _HEADER.match(line):
            left = 0
            if new:
                hunks.append(Hunk(new, old, int(header[1]), ()))
        elif left == 0 and new and hunks and line[:1] in ("+", "-", " "):
            last = hunks[-1]
            hunks[-1] = Hunk(last.path, last.old_path, last.start, (*last.lines, line))
    return hunks


def _path(text: str, prefix: str) -> str:
    r"""The path of a line "--- a/x"; "" for /dev/null, and for a name in quotes."""
    name = text.split("\t")[0]
    return name.removeprefix(prefix) if name.startswith(prefix) else ""
