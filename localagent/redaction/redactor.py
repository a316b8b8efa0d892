"""Placeholders for text that a model must not see: secrets, and invisible characters.

    password = "⟨secret 1: value⟩"    one secret has one placeholder for the whole session
    # ⟨U+202E⟩ nimda                  an invisible character; "×3" for three of them

The model uses a placeholder like a name. Localagent restores a placeholder in the model's text only
if the edited file or the task contains the original. All other placeholders are refused, so no
placeholder is ever written to a file, and no secret moves from one file to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from localagent.redaction.secret_patterns import Secret, secrets_in
from localagent.redaction.unicode import CONTROLS, INVISIBLE, SURROGATES, characters

_SECRET = re.compile(r"⟨secret (\d{1,6}): ([^⟨⟩\n]{0,40})⟩")
_CHARACTER = re.compile(r"⟨U\+([0-9A-F]{4,6})(?: ×(\d{1,6}))?⟩")
_INVISIBLE_RUN = re.compile(f"([{characters(*CONTROLS, *INVISIBLE, *SURROGATES)}])\\1*")
# A shorter secret may occur in other text by chance, so only the detector's matches are redacted.
_MIN_LENGTH = 10
_KEY_LINE = re.compile(r"[A-Za-z0-9+/=]{32,}")
_CACHE_SIZE = 4000
_MAX_REPORTED = 5


class Redactor:
    """Redacts and restores the secrets of one session."""

    def __init__(self, earlier: Iterable[str] = ()) -> None:
        """Start numbering after the placeholders in `earlier`, the texts of a resumed session."""
        self._numbers: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        self._parts: dict[str, int] = {}
        self._known: re.Pattern[str] | None = None
        self._cache: dict[str, str] = {}
        self._unreported: list[int] = []
        used = (int(m[1]) for text in earlier for m in _SECRET.finditer(text))
        self._next = max(used, default=0) + 1

    def redact(self, text: str) -> str:
        """`text` with its secrets and invisible characters replaced by placeholders.

        The same text gives the same result even after more secrets are added, because a text that
        a model has read must not change.
        """
        redacted = self._cache.get(text)
        if redacted is None:
            plain = text.replace("\r\n", "\n")
            redacted = _INVISIBLE_RUN.sub(_character_placeholder, self._without_secrets(plain))
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[text] = redacted
        return redacted

    def redact_lines(self, text: str) -> list[str]:
        """The lines of `text` with its secrets redacted; each line keeps its index.

        The placeholder stands in the first line of a secret; the secret's other lines are empty.
        """
        return self._without_detected(text, keep_lines=True).split("\n")

    def add(self, text: str, secrets: Iterable[Secret] | None = None) -> None:
        """Redact the secrets of `text` in all texts from now on.

        `secrets` are the places of the secrets; by default, the detector finds them.
        """
        for secret in secrets_in(text) if secrets is None else secrets:
            self._placeholder_for(text[secret.start : secret.end], secret.kind)

    def drain(self) -> str:
        """List the secrets that are new since the last call; "" if there are none."""
        new, self._unreported = self._unreported, []
        names = ", ".join(f"secret {n} ({self._kinds[n]})" for n in new[:_MAX_REPORTED])
        return f"{names} and {len(new) - _MAX_REPORTED} more" if len(new) > _MAX_REPORTED else names

    def restore(self, text: str, *originals: str) -> str:
        """`text` with each placeholder replaced by its secret or characters, if `originals` allow.

        One of `originals` must contain the secret or characters. A placeholder that occurs in one
        of `originals` as literal text is not replaced.
        """
        if "⟨" not in text:
            return text
        by_number = {str(number): secret for secret, number in self._numbers.items()}

        def original_of(match: re.Match[str]) -> str:
            if match.re is _SECRET:
                value = by_number.get(match[1], "")
            else:
                code = int(match[1], 16)
                value = chr(code) * int(match[2] or 1) if code <= 0x10FFFF else ""
            is_literal = any(match[0] in original for original in originals)
            in_original = bool(value) and any(value in original for original in originals)
            return value if in_original and not is_literal else match[0]

        return _CHARACTER.sub(original_of, _SECRET.sub(original_of, text))

    @staticmethod
    def first_placeholder(text: str, original: str = "") -> str:
        """The first placeholder in `text` that does not occur in `original`; "" if none."""
        if "⟨" not in text:
            return ""
        places = (m[0] for form in (_SECRET, _CHARACTER) for m in form.finditer(text))
        return next((placeholder for placeholder in places if placeholder not in original), "")

    def _without_secrets(self, text: str) -> str:
        """`text` with placeholders for the detected secrets, and for other known secrets."""
        text = self._without_detected(text)
        if not self._numbers:
            return text
        if self._known is None:
            parts = [part for part in self._parts if len(part) >= _MIN_LENGTH]
            longest_first = sorted(parts, key=len, reverse=True)
            # The first alternative matches whole placeholders, so that none is changed inside.
            self._known = re.compile("|".join([_SECRET.pattern, *map(re.escape, longest_first)]))
        return self._known.sub(self._known_placeholder, text)

    def _without_detected(self, text: str, *, keep_lines: bool = False) -> str:
        parts, at = [], 0
        for secret in secrets_in(text):
            value = text[secret.start : secret.end]
            parts += [text[at : secret.start], self._placeholder_for(value, secret.kind)]
            parts += ["\n" * value.count("\n")] if keep_lines else []
            at = secret.end
        return "".join([*parts, text[at:]])

    def _known_placeholder(self, match: re.Match[str]) -> str:
        number = self._parts.get(match[0])
        return match[0] if number is None else self._placeholder(number)

    def _placeholder_for(self, value: str, kind: str) -> str:
        """The placeholder of a secret. A new secret gets the next number."""
        number = self._numbers.get(value)
        if number is None:
            number, self._next = self._next, self._next + 1
            self._numbers[value] = number
            self._kinds[number] = kind
            self._parts[value] = number
            if "\n" in value:  # the lines of a key are redacted one by one too
                self._parts |= dict.fromkeys(_KEY_LINE.findall(value), number)
            self._known = None
            self._unreported.append(number)
        return self._placeholder(number)

    def _placeholder(self, number: int) -> str:
        return f"⟨secret {number}: {self._kinds[number]}⟩"


def _character_placeholder(match: re.Match[str]) -> str:
    count = len(match[0])
    return f"⟨U+{ord(match[1]):04X}⟩" if count == 1 else f"⟨U+{ord(match[1]):04X} ×{count}⟩"
