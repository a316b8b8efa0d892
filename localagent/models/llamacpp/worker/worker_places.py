"""Where in a prompt's text its tokens end, and where what its messages say stands.

Both are found by comparing, as neither the tokenizer nor the template tells. What cannot be found
(a template that rewrites a message, a tokenizer that normalises) is left without a place of its
own; the number of tokens is right all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_NEAR = 64  # bytes of text that a tokenizer may have left out before a token


def token_ends(text: bytes, pieces: Iterable[bytes], controls: Sequence[str]) -> tuple[int, ...]:
    """The offset in `text` at which each token ends; `pieces` are the tokens' bytes, none for a
    control token, of which `controls` are the texts."""
    known = sorted((control.encode() for control in controls), key=len, reverse=True)
    ends, at = [], 0
    for piece in pieces:
        at += _length(text, at, piece, known)
        ends.append(at)
    return tuple(ends)


def _length(text: bytes, at: int, piece: bytes, controls: Sequence[bytes]) -> int:
    """How many bytes of the text, from `at` on, a token takes."""
    if not piece:  # one that the template does not write, such as BOS, takes none
        return next((len(one) for one in controls if text.startswith(one, at)), 0)
    if text.startswith(piece, at):
        return len(piece)
    if piece[:1] == b" " and text.startswith(piece[1:], at):  # some put a space before all text
        return len(piece) - 1
    found = text.find(piece, at, at + _NEAR + len(piece))
    return found + len(piece) - at if found >= 0 else 0


def places(text: str, frame: str, contents: Sequence[str], name: str) -> list[tuple[int, int]]:
    """Where each of `contents` stands in `text`; in `frame`, which is otherwise the same text,
    `name` stands for each, its number in it."""
    found: list[tuple[int, int]] = []
    at = 0
    for number, content in enumerate(contents):
        before, name_found, rest = frame.partition(name.format(number))
        start = text.find(before, at) if name_found else -1
        if start < 0:
            found.append((at, at))
            continue
        frame, start = rest, start + len(before)
        forms = (content, content.strip(), content.rstrip(), content.lstrip())
        form = next((form for form in forms if text.startswith(form, start)), "")
        at = start + len(form)
        found.append((start, at))
    return found
