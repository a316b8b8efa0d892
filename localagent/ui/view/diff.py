"""Unified diffs for readers: colored lines with line numbers and highlighted words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.text import Text

from localagent.ui.view.sanitize import clean
from localagent.ui.view.screen import Hanging, Surface

_LEAD = re.compile(r" *\d+ [-+ ]")
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LONGEST = 400  # characters; words of longer lines are not compared
_SIMILAR = 0.4  # if two lines share a smaller part, their words are not highlighted


def is_diff(text: str) -> bool:
    """Return whether `text` begins like a unified diff."""
    return text.startswith("--- ") and "\n+++ " in text


def diff_rows(diff: str) -> Iterator[Text]:
    """Yield the lines of `diff`, cleaned; each line of code begins with its number.

    Lines are numbered as in the new file, removed lines as in the old file.
    """
    lines = diff.removesuffix("\n").split("\n")
    body = [line for line in lines[2:] if line[:1] in ("+", "-", " ")]
    if body and all(line.endswith("\r") for line in body):
        lines = [
            line.removesuffix("\r") for line in lines
        ]  # if every line ends with CRLF, the "\r" is not shown
    hunk = _Hunk(_digits(lines))
    for number, line in enumerate(lines):
        if number < 2:
            yield Text(clean(line), style="strong")
        elif head := _HUNK.match(line):
            yield from hunk.end()
            hunk.old, hunk.new = int(head[1]), int(head[3])
            yield Text(clean(line), style="accent")
        else:
            yield from hunk.take(line)
    yield from hunk.end()


def draw_diff(surface: Surface, rows: Sequence[Text], indent: int = 0) -> None:
    """Draw rows of a diff; on a terminal, a long line of code continues below its own column."""
    margin = " " * indent
    for row in rows:
        lead = _LEAD.match(row.plain)
        if surface.live_line and lead:
            surface.line(Hanging(Text(margin) + row[: lead.end()], row[lead.end() :]))
        else:
            surface.line(Text(margin) + row, wrap=False)


def counts(diff: str) -> tuple[int, int]:
    """Return how many lines `diff` adds, and how many it removes."""
    body = diff.split("\n")[2:]
    return sum(x.startswith("+") for x in body), sum(x.startswith("-") for x in body)


@dataclass
class _Hunk:
    """The line numbers in both files, and the current group of changed lines."""

    digits: int
    old: int = 1
    new: int = 1
    _removed: list[tuple[int, str]] = field(default_factory=list)
    _added: list[tuple[int, str]] = field(default_factory=list)

    def take(self, line: str) -> Iterator[Text]:
        """Take the next line of the diff; changed lines are yielded when their group ends."""
        sign = line[:1]
        if sign == "-":
            if self._added:
                yield from self.end()
            self._removed.append((self.old, clean(line[1:])))
            self.old += 1
        elif sign == "+":
            self._added.append((self.new, clean(line[1:])))
            self.new += 1
        else:
            yield from self.end()
            if sign not in ("", " "):  # "\ No newline at end of file", or not a line of a diff
                yield Text(f"{'':{self.digits}} {clean(line)}", style="faint")
                return
            code = clean(line[1:])
            yield self._line(self.new, " " if code.strip() else "", Text(code.rstrip(" ")), "")
            self.old, self.new = self.old + 1, self.new + 1

    def end(self) -> Iterator[Text]:
        """Yield the group of changed lines."""
        removed = [Text(line) for _, line in self._removed]
        added = [Text(line) for _, line in self._added]
        for before, after in zip(removed, added, strict=False):
            _highlight_words(before, after)
        for (number, _), text in zip(self._removed, removed, strict=True):
            yield self._line(number, "-", text, "diff.removed")
        for (number, _), text in zip(self._added, added, strict=True):
            yield self._line(number, "+", text, "diff.added")
        self._removed, self._added = [], []

    def _line(self, number: int, sign: str, text: Text, style: str) -> Text:
        lead = f"{number:{self.digits}}" + (" " if sign else "")
        return Text.assemble((lead, "faint"), Text(sign, style=style).append_text(text))


def _highlight_words(before: Text, after: Text) -> None:
    """Highlight the words in which two versions of a line differ."""
    if max(len(before), len(after)) > _LONGEST:
        return
    old, new = _WORD.findall(before.plain), _WORD.findall(after.plain)
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _SIMILAR:
        return
    for what, a, b, c, d in matcher.get_opcodes():
        if what != "equal":
            _stylize(before, old, a, b, "diff.removed.word")
            _stylize(after, new, c, d, "diff.added.word")


def _stylize(text: Text, words: list[str], start: int, end: int, style: str) -> None:
    begin = sum(map(len, words[:start]))
    text.stylize(style, begin, begin + sum(map(len, words[start:end])))


def _digits(lines: list[str]) -> int:
    """Return the number of digits of the largest line number."""
    last = 0
    for line in lines[2:]:
        if head := _HUNK.match(line):
            last = max(last, int(head[1]) + int(head[2] or 1), int(head[3]) + int(head[4] or 1))
    return len(str(last))
