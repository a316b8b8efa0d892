"""JSON as models write it: raw newlines in strings, trailing commas, Python literals.

Only what has one plain meaning is repaired. A text that was cut off inside a string is not.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from typing import Any, Literal

Kind = Literal["string", "quote", "plain"]

# Longer texts are no tool calls; the bound keeps reading linear in practice.
_MAX_CHARS = 400_000


def loads(text: str) -> Any:
    """The value of `text`. Raises ValueError where it has no plain meaning."""
    bare = text.strip()
    if len(bare) > _MAX_CHARS:
        raise ValueError("too long")
    for attempt in (bare, _without_trailing_commas(bare)):
        try:
            # strict=False allows raw newlines and tabs inside strings.
            return json.loads(attempt, strict=False)
        except RecursionError:
            raise ValueError("too deeply nested") from None
        except ValueError:
            continue
    try:
        return json.loads(_without_trailing_commas(_closed(bare)), strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(bare)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError("not JSON") from None


def object_end(text: str, start: int) -> int | None:
    """The position after the object that opens at `start`; None where it does not end."""
    depth = 0
    for position, character, kind in _scan(text, start):
        if kind != "plain":
            continue
        if character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth == 0:
                return position + 1
    return None


def _scan(text: str, start: int = 0) -> Iterator[tuple[int, str, Kind]]:
    """Each character with its position and what it is: part of a string, its quote, or neither."""
    inside = escaped = False
    for position in range(start, len(text)):
        character = text[position]
        if escaped:
            escaped = False
            yield position, character, "string"
        elif character == '"':
            inside = not inside
            yield position, character, "quote"
        else:
            escaped = inside and character == "\\"
            yield position, character, "string" if inside else "plain"


def _without_trailing_commas(text: str) -> str:
    """`text` without commas that come right before a closing bracket."""
    drop: set[int] = set()
    comma: int | None = None
    for position, character, kind in _scan(text):
        if kind == "plain" and character.isspace():
            continue
        if kind == "plain" and character in "}]" and comma is not None:
            drop.add(comma)
        comma = position if kind == "plain" and character == "," else None
    return "".join(c for position, c in enumerate(text) if position not in drop)


def _closed(text: str) -> str:
    """`text` with the closing brackets that its end lacks.

    Raises ValueError where more than brackets is missing, or none is.
    """
    stack: list[str] = []
    quotes = 0
    for _, character, kind in _scan(text):
        quotes += kind == "quote"
        if kind != "plain":
            continue
        if character in "{[":
            stack.append("}" if character == "{" else "]")
        elif character in "}]" and (not stack or stack.pop() != character):
            raise ValueError("brackets do not match")
    if not stack or quotes % 2 or text[-1:] not in ('"', "}", "]"):
        raise ValueError("cut off within a value")
    return text + "".join(reversed(stack))
