"""Parts of a file as the model is shown them: whole definitions, and where each part stands.

    `shop/cart.py` (lines 1-3, 40-52 of 310):
    ```python
    import decimal
    …
    class Cart:
        …
        def total(self):
    ```

Nothing is left out without a line that says so, and the class that a method is in is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from localagent.code.languages import fence_info
from localagent.code.symbols import Symbol

Count = Callable[[str], int]
"""How many tokens a text is to the model."""

Span = tuple[int, int]
"""The first and the last line, from 1."""

GAP = "…"

_NEAR = 3
"""So few lines between two parts are shown too: to say that they are missing costs as much."""


def fenced(path: str, text: str, note: str = "") -> str:
    """Code as the model is shown it: its path and a fence longer than any inside it."""
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
    """The file whole where that is at most `tokens`; otherwise as many of the `wanted` spans (the
    most useful first) as fit. Also tells what is shown; "" and nothing where no span fits.
    """
    whole = fenced(path, text)
    lines = text.splitlines()
    if count(whole) <= tokens:
        return whole, [(1, len(lines))]
    shown: list[Span] = []
    best = ""
    for span in wanted:
        if _covered(span, shown):
            continue
        trial = joined([*shown, span])
        rendered = render(path, lines, symbols, trial)
        if count(rendered) <= tokens:
            shown, best = trial, rendered
    return best, shown


def render(path: str, lines: Sequence[str], symbols: Sequence[Symbol], spans: list[Span]) -> str:
    """These spans of a file, in the order of their lines."""
    parts: list[str] = []
    told: set[int] = set()  # lines that are shown already
    for first, last in spans:
        above = [s.line for s in symbols if s.line < first <= s.end_line and s.line not in told]
        if parts or above or first > 1:
            parts.append(GAP)
        for line in above:
            parts += [lines[line - 1], f"{_indent(lines[first - 1])}{GAP}"]
        told |= {*above, *range(first, last + 1)}
        parts += lines[first - 1 : last]
    if spans and spans[-1][1] < len(lines):
        parts.append(GAP)
    numbers = ", ".join(f"{first}-{last}" for first, last in spans)
    return fenced(path, "\n".join(parts), f" (lines {numbers} of {len(lines)})")


def joined(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that touch or nearly touch made one."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + _NEAR + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _covered(span: Span, shown: Sequence[Span]) -> bool:
    return any(first <= span[0] and span[1] <= last for first, last in shown)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
