r"""The text of a file, apart from how it is stored.

Edits work on text with "\n" between lines; encoding, byte order mark, line ends and the missing
newline at the end are remembered, and put back by `encode`. `encode(decode(data)) == data` holds
for all bytes.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Literal

from localagent.core.errors import EditError

Encoding = Literal["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "latin-1"]

_NEWLINE = re.compile(r"\r\n|\n|\r")
_MARKS: dict[Encoding, bytes] = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}
# git decides by the first 8,000 bytes as well (buffer_is_binary in its xdiff-interface.c).
_BINARY_BYTES = 8000


@dataclass(frozen=True, slots=True)
class TextFile:
    r"""Text with "\n" at each line's end, and how its bytes differ from that.

    `newline` is the most frequent line end. `endings` holds the end of each line in order where
    they differ from one another, and is None where all are `newline`.
    """

    text: str
    encoding: Encoding = "utf-8"
    newline: str = "\n"
    endings: tuple[str, ...] | None = None


def is_binary(data: bytes) -> bool:
    """Whether `data` is not text: a zero byte near its start, and no UTF-16 mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(data)[1] == "latin-1" or "\0" in _decoded(data[:_BINARY_BYTES])[0]
    return b"\0" in data[:_BINARY_BYTES]


def decode(data: bytes) -> TextFile:
    """The text of `data`. Bytes in no known encoding are read as Latin-1, which loses nothing."""
    raw, encoding = _decoded(data)
    if "\r" not in raw:  # nearly all files, and to look for each line's end takes long
        return TextFile(raw, encoding)
    found = _NEWLINE.findall(raw)
    counts = Counter(found)
    newline = counts.most_common(1)[0][0]
    endings = None if len(counts) == 1 else tuple(found)
    return TextFile(_NEWLINE.sub("\n", raw), encoding, newline, endings)


def encode(file: TextFile) -> bytes:
    """The bytes of `file`.

    Raises EditError for a character that its encoding does not have.
    """
    if file.endings is None:
        raw = file.text if file.newline == "\n" else file.text.replace("\n", file.newline)
    else:
        ends = (*file.endings, "")
        raw = "".join(line + end for line, end in zip(file.text.split("\n"), ends, strict=True))
    codec = "utf-8" if file.encoding == "utf-8-sig" else file.encoding
    try:
        return _MARKS.get(file.encoding, b"") + raw.encode(codec)
    except UnicodeEncodeError as error:
        bad = raw[error.start]
        line = raw.count("\n", 0, error.start) + 1
        raise EditError(
            f"line {line}: the character {bad!a} cannot be written in this file, "
            f"which is {codec}; use other characters"
        ) from None


def with_text(file: TextFile, new_text: str) -> TextFile:
    """`file` with other text, stored in the same way.

    The new text ends with a newline where the old one did (and where the old one was empty); a
    line that stays keeps its own line end.
    """
    text = _NEWLINE.sub("\n", new_text)
    if text and (not file.text or file.text.endswith("\n")):
        text = text if text.endswith("\n") else text + "\n"
    elif file.text:
        text = text.rstrip("\n")
    if file.endings is None:
        return replace(file, text=text)
    return replace(file, text=text, endings=_new_endings(file, text))


def _decoded(data: bytes) -> tuple[str, Encoding]:
    for encoding, mark in _MARKS.items():
        if data.startswith(mark):
            codec = "utf-8" if encoding == "utf-8-sig" else encoding
            try:
                return data[len(mark) :].decode(codec), encoding
            except UnicodeDecodeError:
                break
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _new_endings(file: TextFile, text: str) -> tuple[str, ...]:
    """The line ends of `text`: those of the lines that stay or are changed one to one."""
    ends = (*(file.endings or ()), file.newline)
    before, after = file.text.split("\n"), text.split("\n")
    result = [file.newline] * len(after)
    matcher = SequenceMatcher(None, before, after, autojunk=len(before) > 2000)
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        for i, j in zip(range(i1, i2), range(j1, j2), strict=False):
            result[j] = ends[i]
    return tuple(result[:-1])


def sha256(data: bytes) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
