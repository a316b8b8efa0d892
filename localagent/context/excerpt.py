"""Excerpts of a file for the model: whole definitions, with their line numbers.

    `shop/cart.py` (lines 1-3, 40-52 of 310):
    ```python
    import decimal
    …
    class Cart:
        …
        def total(self):
    ```

A line with "…" marks each omission. An excerpt of a method also names its class.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from localagent.code.languages import fence_info
from localagent.code.symbols import Symbol
from localagent.context.limits import CONTEXT

Count = Callable[[str], int]
"""Counts the model's tokens in a text."""

Lines = Callable[[str], Sequence[str]]
"""Returns the lines of a file."""

Span = tuple[int, int]
"""The first and the last line of a part of a file, from 1."""

GAP = "…"


def code_block(path: str, text: str, note: str = "") -> str:
    """The path, then the text in a code fence that is longer than any fence in the text."""
    longest = max((len(m) for m in re.findall(r"^`{3,}", text, re.M)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"`{path}`{note}:\n{fence}{fence_info(path)}\n{text.rstrip()}\n{fence}"


def excerpt(
    path: str,
    text: str,
    symbols: Sequence[Symbol],
    wanted: Iterable[Span],
    tokens: int,
    count: Count,
) -> tuple[str, list[Span]]:
    """The whole file if it has at most `tokens`; otherwise the `wanted` spans that fit.

    `wanted` has the most useful spans first. Returns the excerpt and its spans, or "" and no spans
    if no span fits.
    """
    whole = code_block(path, text)
    lines = text.splitlines()
    if count(whole) <= tokens:
        return whole, [(1, len(lines))]
    spans: list[Span] = []
    best = ""
    for span in wanted:
        if any(first <= span[0] and span[1] <= last for first, last in spans):
            continue
        trial = merge_spans([*spans, span])
        rendered = render(path, lines, symbols, trial)
        if count(rendered) <= tokens:
            spans, best = trial, rendered
    return best, spans


def render(path: str, lines: Sequence[str], symbols: Sequence[Symbol], spans: list[Span]) -> str:
    """Format an excerpt of these spans, in the order of their lines."""
    parts: list[str] = []
    included: set[int] = set()
    for first, last in spans:
        above = [s.line for s in symbols if s.line < first <= s.end_line and s.line not in included]
        if parts or above or first > 1:
            parts.append(GAP)
        line = lines[first - 1]
        indent = line[: len(line) - len(line.lstrip())]
        for number in above:
            parts += [lines[number - 1], f"{indent}{GAP}"]
        included |= {*above, *range(first, last + 1)}
        parts += lines[first - 1 : last]
    if spans and spans[-1][1] < len(lines):
        parts.append(GAP)
    numbers = ", ".join(f"{first}-{last}" for first, last in spans)
    return code_block(path, "\n".join(parts), f" (lines {numbers} of {len(lines)})")


def most_that_fit(most: int, tokens: int, count: Callable[[int], int]) -> int:
    """The largest number from 0 to `most` whose `count` is at most `tokens`."""
    return bisect_right(range(1, most + 1), tokens, key=count)


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Sort spans, and join spans that touch or nearly touch."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + CONTEXT.gap_lines + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged
