"""Unified diffs in the format that git and patch read."""

from __future__ import annotations

from difflib import unified_diff

_NO_NEWLINE = "\n\\ No newline at end of file\n"


def unified(path: str, before: str | None, after: str | None, context: int = 3) -> str:
    """The unified diff from `before` to `after`; "" if they are equal.

    None means that the file does not exist.
    """
    if before == after:
        return ""
    old_name = "/dev/null" if before is None else f"a/{path}"
    new_name = "/dev/null" if after is None else f"b/{path}"
    names = _name(old_name), _name(new_name)
    lines = list(unified_diff(_lines(before), _lines(after), *names, n=context))
    if not lines:  # an empty file is created or deleted
        lines = [f"--- {names[0]}\n", f"+++ {names[1]}\n"]
    return "".join(line if line.endswith("\n") else line + _NO_NEWLINE for line in lines)


def _lines(text: str | None) -> list[str]:
    r"""Split `text` after each "\n". (str.splitlines also splits at ten other characters.)"""
    if not text:
        return []
    *whole, rest = text.split("\n")
    return [line + "\n" for line in whole] + ([rest] if rest else [])


def _name(path: str) -> str:
    """`path` with its line breaks escaped, so that it fits in a diff's header."""
    return path.replace("\n", "\\n").replace("\r", "\\r")
