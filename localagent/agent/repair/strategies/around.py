"""What a model that fills in is shown of a file: what is before a place, and after it.

A long file would not fit, or take longer to read than the answer is worth: its first lines (what it
imports) and what is near the place are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

HEAD, BEFORE, AFTER = 20, 120, 40
"""Lines of the file's start, before the place and after it."""


def around(lines: Sequence[str], first: int, after: int) -> tuple[str, str]:
    """The text before line `first` and the text from line `after` on, both from 1; `lines` keep
    their ends."""
    before, following = lines[: first - 1], lines[after - 1 :]
    if len(before) > HEAD + BEFORE:
        before = [*before[:HEAD], "\n", *before[-BEFORE:]]
    return "".join(before), "".join(following[:AFTER] if len(lines) > HEAD + BEFORE else following)
