"""Unified diffs, as git and patch read them."""

from __future__ import annotations

from difflib import unified_diff

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def unified(path: str, before: str | None, after: str | None, context: int = 3) -> str:
    """The diff from `before` to `after`, or "" where they are equal.

    None stands for a file that is not there.
    """
    if before == after:
        return ""
    old_name = "/dev/null" if before is None else f"a/{path}"
    new_name = "/dev/null" if after is None else f"b/{path}"
    names = _name(old_name), _name(new_name)
    lines = list(unified_diff(_lines(before), _lines(after), *names, n=context))
    if not lines:  # an empty file comes or goes
        lines = [f"--- {names[0]}\n", f"+++ {names[1]}\n"]
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _lines(text: str | None) -> list[str]:
    r"""The lines with their "\n"; only that ends a line (str.splitlines knows ten more ends)."""
    if not text:
        return []
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


def _name(path: str) -> str:
    """`path` on one line."""
    return path.replace("\n", "\\n").replace("\r", "\\r")
