"""From the bytes of sampled tokens to pieces of text: whole characters, stop sequences cut."""

from __future__ import annotations

import codecs
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


class ReplyText:
    """The text of one reply while it is written.

    A character may be spread over several tokens, and so may a stop sequence; what could be the
    beginning of either is held back until it is clear what it is.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [sequence for sequence in stop if sequence]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sent = 0
        self.text = ""
        """All that was decoded, what is held back and what follows a stop sequence included."""
        self.ends: list[int | None] = []
        """For each token, the length of `text` after it; None where it ends inside a character."""
        self.stopped = False
        """Whether a stop sequence was met; nothing may be added then."""

    @property
    def sent(self) -> str:
        """What `add` and `finish` have returned so far: the reply."""
        return self.text[: self._sent]

    def add(self, data: bytes) -> str:
        """Take the bytes of the next token; return the text that can be sent now."""
        self.text += self._decoder.decode(data)
        inside = self._decoder.getstate()[0] != b""
        self.ends.append(None if inside else len(self.text))
        found = [self.text.find(stop, self._sent) for stop in self._stop]
        met = [position for position in found if position >= 0]
        if met:
            self.stopped = True
            return self._send(min(met))
        return self._send(len(self.text) - self._held_back())

    def finish(self) -> str:
        """The rest of the text, after the last token; an unfinished character is dropped."""
        return "" if self.stopped else self._send(len(self.text))

    def _send(self, end: int) -> str:
        piece = self.text[self._sent : end]
        self._sent = end
        return piece

    def _held_back(self) -> int:
        """How many characters at the end could be the beginning of a stop sequence."""
        unsent = len(self.text) - self._sent
        for count in range(unsent, 0, -1):
            tail = self.text[-count:]
            if any(stop.startswith(tail) for stop in self._stop):
                return count
        return 0
