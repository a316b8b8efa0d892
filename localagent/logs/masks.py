"""Replaces the variable parts of a line's shape: numbers, addresses and ids.

A shape is a line whose digits are all "0", which one fast call makes for a whole chunk. The masks
work on words of shapes, and remember the words that they have seen.
"""

from __future__ import annotations

import re

DIGITS = bytes.maketrans(b"123456789", b"000000000")
"""Makes the shape of bytes. It changes no other byte, so UTF-8 stays valid."""

_RULES = (
    # a UUID, a hexadecimal number, an id of letters and digits, an IP address
    (re.compile(r"\b[0a-fA-F]{8}-(?:[0a-fA-F]{4}-){3}[0a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0a-fA-F]+\b"), "<id>"),
    (re.compile(r"\b(?=[a-fA-F]*0)[0a-fA-F]{6,}\b(?!\.)"), "<id>"),
    (re.compile(r"\b(?=[A-Za-z_]*0[A-Za-z_]*0)(?=\w*[A-Za-z])\w{14,}\b"), "<id>"),
    (re.compile(r"\b0{1,3}(?:\.0{1,3}){3}\b"), "<ip>"),
    (re.compile(r"0[0.,:]*"), "<n>"),
)
_PAIR = re.compile(
    r"((?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|credentials?|authorization)"
    r"[\"']?[=:][\"']?)(?!<)[^\s\"',;&]+",
    re.IGNORECASE,
)


def without_pairs(text: str) -> str:
    """`text` without the values of names such as `password`, which the redactor may not see.

    The redactor knows values that look random; in a log, a short password is a secret too.
    """
    return _PAIR.sub(r"\1<secret>", text)


class Masks(dict[str, str]):
    """The masked form of each word. A word without a digit stays as it is."""

    limit = 50_000

    def __missing__(self, word: str) -> str:
        """Mask a word that is new."""
        masked = without_pairs(word) if "=" in word or ":" in word else word
        if "0" in word:
            for pattern, name in _RULES:
                masked = pattern.sub(name, masked)
            masked = masked[:200]
        if len(self) >= self.limit:
            self.clear()
        self[word] = masked
        return masked

    def mask(self, shape: str) -> str:
        """The masked form of a line's shape."""
        return " ".join(map(self.__getitem__, shape.split()))
