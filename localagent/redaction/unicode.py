"""Characters that are invisible to a reader, or that change how text looks on the screen.

Escape sequences move a terminal's cursor. Direction marks reorder text on the screen (the "Trojan
Source" attack). Zero-width and tag characters can hide text that only a model reads.
"""

from __future__ import annotations

import re

# The C0 controls except tab and newline, DEL, and the C1 controls. The C1 control 0x9b begins an
# escape sequence.
CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
# The Unicode bidirectional algorithm's formatting characters, line and paragraph separators,
# zero-width and invisible signs, and the interlinear and tag characters.
INVISIBLE = (
    *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xE0000, 0xE0080),
)
SURROGATES = range(0xD800, 0xE000)


def characters(*codes: int) -> str:
    """The content of a regular expression's [...] that matches the characters with these codes.

    Consecutive codes become ranges, because a set with thousands of characters is slow to match.
    """
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


# ECMA-48: CSI sequences, OSC and other strings up to their end, and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x9b[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)


def without_escapes(text: str) -> str:
    """A command's output without color and cursor sequences.

    If carriage returns overwrite a line several times, only the last text of the line is kept.
    """
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        lines = text.replace("\r\n", "\n").split("\n")
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return text
