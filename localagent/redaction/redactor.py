"""Marks in the place of what a model must not see: secrets, and characters that nobody sees.

    password = "⟨secret 1: value⟩"    the same secret has the same mark while a session lasts
    # ⟨U+202E⟩ nimda                  a mark of writing direction; "×3" where there are three

The model can work with a mark as with a name. What it writes has the marks turned back where the
file that it edits, or the task, holds the very thing; any other mark is refused, so that none ever
stands in a file, and a secret is not carried from one file into another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from localagent.redaction.secret_patterns import Secret, secrets_in
from localagent.redaction.unicode import CONTROLS, INVISIBLE, SURROGATES, characters

_SECRET = re.compile(r"⟨secret (\d{1,6}): ([^⟨⟩\n]{0,40})⟩")
_HIDDEN = re.compile(r"⟨U\+([0-9A-F]{4,6})(?: ×(\d{1,6}))?⟩")
_UNSEEN = re.compile(f"([{characters(*CONTROLS, *INVISIBLE, *SURROGATES)}])\\1*")
# A secret as short as that may stand in a text by chance; it is hidden where its form shows it.
_LEAST = 10
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{32,}")
_REMEMBERED = 4000
_TOLD = 5


class Redactor:
    """The marks of one session."""

    def __init__(self, earlier: Iterable[str] = ()) -> None:
        """`earlier` are texts of the session that may hold marks, whose numbers are not used
        again."""
        self._numbers: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        self._pieces: dict[str, int] = {}
        self._known: re.Pattern[str] | None = None
        self._hidden: dict[str, str] = {}
        self._untold: list[int] = []
        taken = (int(m[1]) for text in earlier for m in _SECRET.finditer(text))
        self._next = max(taken, default=0) + 1

    def redact(self, text: str) -> str:
        """`text` with marks. The same text gives the same result, whatever is found later: a
        conversation that a model has read must not change."""
        known = self._hidden.get(text)
        if known is None:
            plain = text.replace("\r\n", "\n")
            known = _UNSEEN.sub(_visible, self._without_secrets(plain))
            if len(self._hidden) >= _REMEMBERED:
                self._hidden.clear()
            self._hidden[text] = known
        return known

    def redact_lines(self, text: str) -> list[str]:
        """The lines of `text` without secrets; there are as many as before, so their numbers hold:
        of a secret of several lines, the first has the mark and the others are empty."""
        return self._marked(text, keep_lines=True).split("\n")

    def add(self, text: str, found: Iterable[Secret] | None = None) -> None:
        """Hide the secrets of `text` (default: those that the detector finds) from now on, also
        where only a part of them is shown."""
        for one in secrets_in(text) if found is None else found:
            self._mark(text[one.start : one.end], one.kind)

    def drain(self) -> str:
        """What was hidden for the first time since the last call, for a person; "" for nothing."""
        new, self._untold = self._untold, []
        told = ", ".join(f"secret {number} ({self._kinds[number]})" for number in new[:_TOLD])
        return f"{told} and {len(new) - _TOLD} more" if len(new) > _TOLD else told

    def _marked(self, text: str, *, keep_lines: bool = False) -> str:
        """`text` with marks in the place of the secrets that the detector finds."""
        parts, at = [], 0
        for found in secrets_in(text):
            secret = text[found.start : found.end]
            parts += [text[at : found.start], self._mark(secret, found.kind)]
            parts += ["\n" * secret.count("\n")] if keep_lines else []
            at = found.end
        return "".join([*parts, text[at:]])

    def _without_secrets(self, text: str) -> str:
        text = self._marked(text)
        if not self._numbers:
            return text
        if self._known is None:  # also where its form does not show it, but not inside of a mark
            known = [one for one in self._pieces if len(one) >= _LEAST]
            longest_first = sorted(known, key=len, reverse=True)
            self._known = re.compile("|".join([_SECRET.pattern, *map(re.escape, longest_first)]))
        return self._known.sub(self._mark_of, text)

    def _mark_of(self, match: re.Match[str]) -> str:
        number = self._pieces.get(match[0])
        if number is None:
            return match[0]
        return self._placeholder(number)

    def _mark(self, secret: str, kind: str) -> str:
        number = self._numbers.get(secret)
        if number is None:
            number, self._next = self._next, self._next + 1
            self._numbers[secret] = number
            self._kinds[number] = kind
            self._pieces[secret] = number
            if "\n" in secret:  # a key; its lines may come with other things between them
                self._pieces |= dict.fromkeys(_KEY_LINE.findall(secret), number)
            self._known = None
            self._untold.append(number)
        return self._placeholder(number)

    def _placeholder(self, number: int) -> str:
        return f"⟨secret {number}: {self._kinds[number]}⟩"

    def restore(self, text: str, *originals: str) -> str:
        """`text` with those marks turned back whose secret, or invisible character, one of
        `originals` holds. A mark that an original has as its own text stays."""
        if "⟨" not in text:
            return text
        by_number = {str(number): secret for secret, number in self._numbers.items()}

        def original_of(match: re.Match[str]) -> str:
            if match.re is _SECRET:
                value = by_number.get(match[1], "")
            else:
                code = int(match[1], 16)
                value = chr(code) * int(match[2] or 1) if code <= 0x10FFFF else ""
            literal = any(match[0] in original for original in originals)
            there = bool(value) and any(value in original for original in originals)
            return value if there and not literal else match[0]

        return _HIDDEN.sub(original_of, _SECRET.sub(original_of, text))

    @staticmethod
    def first_placeholder(text: str, original: str = "") -> str:
        """The first mark in `text` that `original` does not have as its own text; "" without."""
        if "⟨" not in text:
            return ""
        marks = (m[0] for form in (_SECRET, _HIDDEN) for m in form.finditer(text))
        return next((mark for mark in marks if mark not in original), "")


def _visible(match: re.Match[str]) -> str:
    count = len(match[0])
    return f"⟨U+{ord(match[1]):04X}⟩" if count == 1 else f"⟨U+{ord(match[1]):04X} ×{count}⟩"
