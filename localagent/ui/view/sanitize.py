"""Makes untrusted text harmless before a terminal shows it.

Output of a model or a command, and file names, may contain escape sequences. These can move the
cursor, hide text, set the clipboard, or answer as if the user had typed. Other characters reverse
the direction of text, so that it reads differently. All such characters are shown as escapes
("\\x1b", "\\u202e").
"""

from __future__ import annotations

from localagent.redaction.unicode import CONTROLS, INVISIBLE, SURROGATES


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_TABLE: dict[int, str] = {
    **{code: _escaped(code) for code in (*CONTROLS, *INVISIBLE, *SURROGATES)},
    ord("\n"): "\n",
    ord("\t"): "    ",
}


def clean(text: str) -> str:
    """Clean `text` for display: controls become escapes, tabs four spaces, line ends "\\n"."""
    if text.isascii() and text.isprintable():  # true for nearly all text; a fast path
        return text
    return text.replace("\r\n", "\n").translate(_TABLE)


def one_line(text: str, limit: int = 200) -> str:
    """Clean `text`, and cut it to one line of at most `limit` characters."""
    line = clean(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


class StreamCleaner:
    """Cleans text that arrives in pieces, even if two pieces share a "\\r\\n"."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return the next piece, cleaned; a "\\r" at its end is held back until the next call."""
        text = self._held + piece
        self._held = "\r" if text.endswith("\r") else ""
        return clean(text[: len(text) - len(self._held)])
