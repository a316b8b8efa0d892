"""The likely tokens at each place of a text, as the reply to a `RawText` with `options`.

The reply is JSON, one array a line: the number of the place, the first and the last byte of its
token in the text, and the options. An option is a token's number, its text and its probability. So
a script or a recorded session can hold such a reply like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenOption:
    """A token that may stand at a place: its number in the vocabulary, its text, its probability.

    The text holds U+FFFD if the token splits a character.
    """

    token: int
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """One token of a text, from byte `start` to `end`, and the tokens that the model expected.

    `number` counts the tokens of the prompt from 0. The last place is empty: it follows the text.
    The likeliest option comes first.
    """

    number: int
    start: int
    end: int
    options: tuple[TokenOption, ...]


def dump_places(places: Iterable[TokenPlace]) -> str:
    """The reply that lists these places."""
    rows = (
        [p.number, p.start, p.end, [[o.token, o.text, round(o.probability, 4)] for o in p.options]]
        for p in places
    )
    return "\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows)


def load_places(reply: str) -> list[TokenPlace]:
    """The places that a reply lists; empty if it is no such reply."""
    try:
        return [_place(*json.loads(line)) for line in reply.split("\n")]
    except (ValueError, TypeError):
        return []


def _place(number: int, start: int, end: int, options: list[tuple[int, str, float]]) -> TokenPlace:
    chosen = (TokenOption(int(t), str(text), float(p)) for t, text, p in options)
    return TokenPlace(int(number), int(start), int(end), tuple(chosen))
