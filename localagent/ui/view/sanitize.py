"""Making untrusted text harmless before a terminal sees it.

What a model writes, a command prints or a file is called may hold escape sequences that move the
cursor, hide text, set the clipboard or answer as if the user had typed; and marks that make text
run from right to left, so that it reads otherwise than it is. All of these are shown instead as
what they are ("\\x1b", "\\u202e").
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
