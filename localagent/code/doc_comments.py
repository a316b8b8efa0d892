"""What documents a definition: a docstring, or the comment above it. Its first line is enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

LONGEST = 120
"""Characters of a summary."""

_HIGHEST = 30  # lines above a definition that are looked at
_MARKS = re.compile(r"^\s*(?:///?!?|/\*+!?|\*+/?|#+!?|--+\|?|;+)\s?|\s*\*+/\s*$")
_COMMENT = re.compile(r"^\s*(?://|/\*|\*|#(?!\[|include|define|if|endif|pragma)|--)")
_BESIDE = re.compile(r"^\s*(?:@|#\[|\[|template\b|pub\b$|export\b$)")
_DOCSTRING = re.compile(r"""^[rRuUbB]{0,2}(?:\"\"\"|'''|"|')""")


def summary(language: str, lines: Sequence[bytes], line: int, body: Node | None) -> str:
    """The first line of what documents the definition in `line` (from 1), or ""."""
    if language == "python":
        return _clipped(_docstring(body)) if body is not None else ""
    return _clipped(_comment_above(lines, line - 1))


def _docstring(body: Node) -> str:
    first = body.child(0)
    if first is None or first.type not in ("expression_statement", "string"):
        return ""
    text = (first.text or b"")[:1000].decode("utf-8", "replace")
    match = _DOCSTRING.match(text)
    if match is None:
        return ""
    rest = text[match.end() :].lstrip().split("\n", 1)[0]
    return rest.strip().removesuffix('"""').removesuffix("'''").strip("\"'")


def _comment_above(lines: Sequence[bytes], index: int) -> str:
    """The first line with words of the comment that ends just above line `index` (from 0)."""
    found: list[str] = []
    for place in range(index - 1, max(-1, index - _HIGHEST), -1):
        text = lines[place][:400].decode("utf-8", "replace")
        if _COMMENT.match(text):
            found.append(text)
        elif found or not _BESIDE.match(text):
            break
    for text in reversed(found):
        bare = _MARKS.sub("", _MARKS.sub("", text)).strip()
        if re.search(r"\w", bare) and not text.startswith("#!"):
            return bare
    return ""


def _clipped(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + "…"
