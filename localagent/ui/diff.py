"""Unified diffs, coloured line by line."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from localagent.ui.clean import clean

_STYLES = (
    ("+++", "bold"),
    ("---", "bold"),
    ("@@", "cyan"),
    ("+", "green"),
    ("-", "red"),
    ("\\", "dim"),
)


def looks_like_diff(text: str) -> bool:
    """True where `text` begins as a unified diff does."""
    return text.startswith("--- ") and "\n+++ " in text


def drawn(diff: str) -> Iterator[Text]:
    """The lines of `diff`, each cleaned and in its colour."""
    lines = diff.removesuffix("\n").split("\n")
    body = [line for line in lines[2:] if line[:1] in ("+", "-", " ")]
    if body and all(line.endswith("\r") for line in body):
        lines = [line.removesuffix("\r") for line in lines]  # all of it CRLF: nothing to point at
    for number, line in enumerate(lines):
        header = number < 2
        style = next(
            (s for mark, s in _STYLES if line.startswith(mark) and (header or s != "bold")), ""
        )
        yield Text(clean(line), style=style)


def counts(diff: str) -> tuple[int, int]:
    """How many lines `diff` adds and removes."""
    body = diff.split("\n")[2:]
    return sum(x.startswith("+") for x in body), sum(x.startswith("-") for x in body)
