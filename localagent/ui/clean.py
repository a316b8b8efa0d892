"""Making untrusted text harmless before a terminal sees it.

What a model writes, a command prints or a file is called may hold escape sequences that move the
cursor, hide text, set the clipboard or answer as if the user had typed; and marks that make text
run from right to left, so that it reads otherwise than it is. All of these are shown instead as
what they are ("\\x1b", "\\u202e").
"""

from __future__ import annotations

# C0 controls but tab and newline, DEL, and C1 controls (0x9b alone begins an escape sequence).
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))
# Marks of writing direction (the Unicode bidirectional algorithm's formatting characters, the
# "Trojan Source" attack), line and paragraph separators, zero-width and invisible signs, and the
# interlinear and tag characters.
_INVISIBLE = (
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
_SURROGATES = range(0xD800, 0xE000)


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_TABLE: dict[int, str] = {
    **{code: _escaped(code) for code in (*_CONTROLS, *_INVISIBLE, *_SURROGATES)},
    ord("\n"): "\n",
    ord("\t"): "    ",
}


def clean(text: str) -> str:
    """`text` for display: controls shown as escapes, tabs as four spaces, lines ended by "\\n"."""
    if text.isascii() and text.isprintable():  # nearly all pieces; a hundred times faster
        return text
    return text.replace("\r\n", "\n").translate(_TABLE)


def one_line(text: str, limit: int = 200) -> str:
    """`text` cleaned, on one line, at most `limit` characters."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


class StreamCleaner:
    """Cleans text that comes in pieces: a "\\r\\n" may lie in two of them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The next piece, cleaned; a "\\r" at its end waits for what follows."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return clean(text[: len(text) - len(self._held)])
