"""Edits of a function's lines from the tokens that a model expected in other places.

A model that reads a function reports the likely tokens of each place. Each is an edit: it stands
alone in place of the old token or before it, or the model writes on from it to the line's end. At a
line's start the new text is a line of its own, before the old line or in its place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.repair.function_text import FunctionText, LineEdit
from localagent.models.alternatives import TokenPlace

_PIECE = re.compile(r"\s*(?:\w+|\"[^\"]*\"|'[^']*'|[^\w\s])")
_PROSE = ("#", '"""')  # begin a comment or a docstring
_EXITS = ("return ", "raise ", "yield ")
_LEAST = 1e-4  # the least probability in a reply, where more digits are cut off


@dataclass(frozen=True, slots=True)
class TokenBranch:
    """A token in another place of a line: the line's text up to and with the token, and the rest.

    `place` and `token` name it to the model. `old` is the old line, None after the last line; its
    `rest` begins with the old token. `starts` says that the token begins the line, `ends` that it
    ends it.
    """

    place: int
    token: int
    number: int
    before: str
    old: str | None
    rest: str
    starts: bool
    ends: bool
    score: float


def branches(function: FunctionText, places: Iterable[TokenPlace]) -> list[TokenBranch]:
    """The likely tokens of all places, without the old ones; the likeliest first."""
    made: list[TokenBranch] = []
    for place in places:
        number, column = function.locate(place.start)
        weight = function.weight(number, column)
        line = function.source[number - 1].encode()
        after = column > len(line)
        if after:  # a new line after the last one
            number, column, line = number + 1, 0, b""
        old = function.text.encode()[place.start : place.end].decode("utf-8", "replace")
        for option in place.options:
            if not weight or option.text in ("", old) or "\ufffd" in option.text:
                continue
            if option.text.lstrip().startswith(_PROSE):
                continue
            before, newline, _ = option.text.partition("\n")
            made.append(
                TokenBranch(
                    place.number,
                    option.token,
                    number,
                    line[:column].decode("utf-8", "replace") + before,
                    None if after else line.decode("utf-8", "replace"),
                    line[column:].decode("utf-8", "replace"),
                    column <= len(line) - len(line.lstrip()),
                    bool(newline),
                    math.log(max(option.probability, _LEAST) * weight),
                )
            )
    return sorted(made, key=lambda branch: -branch.score)


def token_edits(branch: TokenBranch) -> Iterator[LineEdit]:
    """The edits that put a token alone: before the old one, or in place of it and the next."""
    if branch.old is None:
        return
    rests = [""] if branch.ends else _endings(branch.rest)[:3]
    for number, rest in enumerate(rests):
        yield LineEdit(branch.number, 1, (branch.before + rest,), branch.score - number)


def line_end_edits(branch: TokenBranch, reply: str) -> Iterator[LineEdit]:
    """The edits that a branch and the model's continuation give."""
    new = reply.partition("\n")[0].rstrip()
    number, score, whole = branch.number, branch.score, branch.before + new
    if branch.starts:
        yield LineEdit(number, 0, (whole,), score)
        if branch.old is None:
            return
        if whole.endswith(":"):
            yield LineEdit(number, 1, (whole, "    " + branch.old), score)
    yield LineEdit(number, 1, (whole,), score)
    pieces, endings = _PIECE.findall(new), _endings(branch.rest)
    for count in range(1, len(pieces)):
        head = branch.before + "".join(pieces[:count])
        for place, rest in enumerate(endings[:8]):
            yield LineEdit(number, 1, (head + rest,), score - 1 - 0.3 * (count + place))


def guard_of(branch: TokenBranch, reply: str) -> str:
    """The new line of a branch if it opens a block, such as "    if not x:"; otherwise ""."""
    line = branch.before + reply.partition("\n")[0].rstrip()
    return line if branch.starts and line.endswith(":") else ""


def guard_edits(branch: TokenBranch, guard: str, block: Sequence[str]) -> Iterator[LineEdit]:
    """The edits that put a guard before a line, with one of the statements as its block."""
    inner = " " * (len(guard) - len(guard.lstrip()) + 4)
    for place, statement in enumerate(dict.fromkeys(filter(None, block))):
        lines = (guard, inner + statement)
        yield LineEdit(branch.number, 0, lines, branch.score - place / 2)


def exits(function: FunctionText) -> list[str]:
    """Statements that a guard's block may have: those with which the function ends, and others."""
    lines = [function.source[number - 1].strip() for number in function.read]
    return ["return", "continue", *(line for line in lines if line.startswith(_EXITS))]


def usable(
    function: FunctionText, edits: Iterable[LineEdit], forms: set[str | None]
) -> Iterator[LineEdit]:
    """The edits whose function parses and has none of the `forms`, which grow."""
    for edit in edits:
        form = function.form(edit)
        if form is not None and form not in forms:
            forms.add(form)
            yield edit


def _endings(rest: str) -> list[str]:
    """The endings of a line's rest that begin at its words and signs, the longest first."""
    return [rest, *(rest[match.end() :] for match in _PIECE.finditer(rest))]
