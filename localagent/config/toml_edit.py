"""Changing one value of a TOML text, so that comments, order and everything else stay as they are.

A statement's end is where the lines from its start parse as TOML for the first time, so strings and
lists over several lines are understood without a parser of our own. Every result is parsed again:
where it does not hold exactly what it should, ValueError is raised and nothing has happened.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]
"""The keys that lead to a value, from the top."""


@dataclass(frozen=True, slots=True)
class _Statement:
    """`key = value` in the lines from `start` to before `end`, or (`header`) a table's `[name]`."""

    path: Path
    start: int
    end: int
    header: bool = False


def with_value(text: str, path: Path, value: str) -> str:
    """`text` with the value at `path` (of one or two keys) set to `value`, written as in TOML.

    Raises ValueError (also tomllib.TOMLDecodeError) where `text` is no TOML or is written in a way
    that cannot be changed here.
    """
    wanted = tomllib.loads(text)
    lines = _lines(text)
    statements = list(_statements(lines))
    there = next((s for s in statements if s.path == path and not s.header), None)
    _put(wanted, path, tomllib.loads(f"x = {value}")["x"])
    if there is not None:
        lines[there.start : there.end] = [_replaced(lines[there.start : there.end], value)]
    else:
        _insert(lines, statements, path, value)
    return _checked(text, lines, wanted)


def without(text: str, path: Path) -> str:
    """`text` without the value at `path`, or unchanged where it is not there; a comment at the end
    of its line goes with it. Raises ValueError as `with_value` does."""
    wanted = tomllib.loads(text)
    lines = _lines(text)
    table: Any = wanted
    for key in path[:-1]:
        table = table.get(key, {})
    if path[-1] not in table:
        return text
    del table[path[-1]]
    for statement in reversed([s for s in _statements(lines) if s.path[: len(path)] == path]):
        del lines[statement.start : statement.end]
    return _checked(text, lines, wanted, empty=path[:-1])


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _statements(lines: list[str]) -> Iterator[_Statement]:
    table: Path = ()
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].lstrip().startswith("#"):
            at += 1
            continue
        end, keys = _parsed(lines, at)
        header = lines[at].lstrip().startswith("[")
        table = keys if header else table
        yield _Statement(keys if header else (*table, *keys), at, end, header)
        at = end


def _parsed(lines: list[str], start: int) -> tuple[int, Path]:
    """Where the statement that begins at a line ends, and the keys that it names."""
    for end in range(start + 1, len(lines) + 1):
        try:
            found: Any = tomllib.loads("\n".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
        keys: list[str] = []
        header = lines[start].lstrip().startswith("[")
        dots = _dots(lines[start])
        while isinstance(found, dict) and found and (header or len(keys) <= dots):
            keys.append(next(iter(found)))
            found = found[keys[-1]]
        return end, tuple(keys)
    raise ValueError(f"line {start + 1} begins nothing that can be read")


def _dots(line: str) -> int:
    """The number of dots in the key of `key = value`; those in quotes aside."""
    count, quote = 0, ""
    for sign in line:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "=":
            break
        count += sign == "." and not quote
    return count


def _replaced(lines: list[str], value: str) -> str:
    """One statement with another value; what stands before and after it on the line stays."""
    first, last = lines[0], lines[-1]
    head = first[: _equals(first) + 1]
    comment = ""
    for at, sign in enumerate(last):
        if sign == "#" and _same("\n".join([*lines[:-1], last[:at]]), "\n".join(lines)):
            comment = last[len(last[:at].rstrip()) :]
            break
    return f"{head} {value}{comment}"


def _same(one: str, other: str) -> bool:
    try:
        return tomllib.loads(one) == tomllib.loads(other)
    except tomllib.TOMLDecodeError:
        return False


def _equals(line: str) -> int:
    quote = ""
    for at, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "=":
            return at
    raise ValueError("a line without '='")


def _insert(lines: list[str], statements: list[_Statement], path: Path, value: str) -> None:
    """Put a new statement after the others of its table, which is made where it is not there."""
    *above, key = path
    entry = f"{key} = {value}"
    home = [s for s in statements if s.path[:-1] == tuple(above) and not s.header]
    home += [s for s in statements if s.header and s.path == tuple(above) and above]
    if home:
        lines.insert(max(s.end for s in home), entry)
        return
    if above:
        while lines and not lines[-1].strip():
            lines.pop()
        gap = [""] if lines else []
        lines.extend([*gap, f"[{'.'.join(above)}]", entry, ""])
        return
    at = next((s.start for s in statements if s.header), None)
    if at is None:
        while lines and not lines[-1].strip():
            lines.pop()
        lines.extend([entry, ""])
        return
    while at > 0 and lines[at - 1].lstrip().startswith("#"):
        at -= 1  # what is said right above a table is about the table
    lines[at:at] = [entry, ""]


def _put(table: dict[str, Any], path: Path, value: object) -> None:
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = value


def _checked(before: str, lines: list[str], wanted: dict[str, Any], empty: Path = ()) -> str:
    """The lines as a text with the ends of line of `before`, which holds `wanted`; a table at
    `empty` that holds nothing any more may be there or not."""
    text = "\n".join(lines)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = {}
    if empty:
        found = {k: v for k, v in found.items() if v or (k,) != empty}
        wanted = {k: v for k, v in wanted.items() if v or (k,) != empty}
    if found != wanted:
        raise ValueError("it is written in a way that cannot be changed here")
    return text.replace("\n", "\r\n") if "\r\n" in before else text
