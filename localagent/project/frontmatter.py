"""The lines between `---` at the start of a Markdown file: `key: value`, one a line.

A small part of what YAML allows, so that no parser of it is needed: values are texts, with or
without quotes. What is more than that is refused with its line.
"""

from __future__ import annotations

import re

_FENCE = "---"
_ENTRY = re.compile(r"([A-Za-z][\w-]*)\s*:(?:\s+(.*))?$")


def split(text: str) -> tuple[dict[str, str], str]:
    """The front matter's values by key, and the text after it; none where the text does not begin
    with it. Raises ValueError, with the line, where it cannot be read."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != _FENCE:
        return {}, text
    values: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        if line.rstrip() == _FENCE:
            return values, "\n".join(lines[number:])
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _ENTRY.match(line)
        if entry is None:
            raise ValueError(f"line {number} is no 'key: value': {line.strip()[:60]!r}")
        values[entry[1]] = _plain((entry[2] or "").strip())
    raise ValueError("its front matter has no closing line '---'")


def _plain(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
