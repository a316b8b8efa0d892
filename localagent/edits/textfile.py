r"""Decode a file's bytes to text and back, and replace a file's whole text.

Edits work on text with "\n" between lines. `decode` records the encoding, the byte order mark and
the line ends, and `encode` restores them. `encode(decode(data)) == data` holds for all bytes. This
module does not read or write files.
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
# git looks for a zero byte in the first 8,000 bytes too (buffer_is_binary in xdiff-interface.c).
_BINARY_BYTES = 8000


@dataclass(frozen=True, slots=True)
class TextFile:
    r"""The text of a file with "\n" at each line's end, and how its bytes were encoded.

    `newline` is the most frequent line end. `endings` holds the end of each line, in order; it is
    None if all line ends are `newline`.
    """

    text: str
    encoding: Encoding = "utf-8"
    newline: str = "\n"
    endings: tuple[str, ...] | None = None


def is_binary(data: bytes) -> bool:
    """Whether `data` is binary: it has a zero byte near its start, and is not UTF-16 text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(data)[1] == "latin-1" or "\0" in _decoded(data[:_BINARY_BYTES])[0]
    return b"\0" in data[:_BINARY_BYTES]


def decode(data: bytes) -> TextFile:
    """Decode `data`. Bytes in an unknown encoding are read as Latin-1, which loses nothing."""
    raw, encoding = _decoded(data)
    if "\r" not in raw:  # true for nearly all files, and avoids a slow search
        return TextFile(raw, encoding)
    ends = _NEWLINE.findall(raw)
    counts = Counter(ends)
    newline = counts.most_common(1)[0][0]
    endings = None if len(counts) == 1 else tuple(ends)
    return TextFile(_NEWLINE.sub("\n", raw), encoding, newline, endings)


def encode(file: TextFile) -> bytes:
    """The bytes of `file`. Raises EditError if the file's encoding lacks a character."""
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
            f"because the file's encoding is {codec}; use other characters"
        ) from None


def with_text(file: TextFile, new_text: str) -> TextFile:
    """`file` with `new_text`, in the same encoding.

    The new text ends with a newline if the old text did or was empty. Unchanged lines keep their
    line ends.
    """
    text = _NEWLINE.sub("\n", new_text)
    if text and (not file.text or file.text.endswith("\n")):
        text = text if text.endswith("\n") else text + "\n"
    elif file.text:
        text = text.rstrip("\n")
    if file.endings is None:
        return replace(file, text=text)
    return replace(file, text=text, endings=_new_endings(file, text))


def replace_file(old: TextFile | None, new_text: str) -> TextFile:
    """The file with `new_text`, in the encoding of `old`; `old` is None for a new file.

    Raises EditError if the text omits code ("# ... existing code ..."), if it changes nothing, or
    if the file's encoding lacks a character.
    """
    elided = elided_line(new_text, old.text if old else "")
    if elided is not None:
        number, line = elided
        raise EditError(
            f"line {number} stands for omitted code ({line.strip()[:60]!r}); "
            "write the whole content"
        )
    new = with_text(old or TextFile(""), new_text)
    if old is not None and new == old:
        raise EditError("the edit changes nothing: the file already has this content")
    encode(new)
    return new


# Omissions: comments that models write in place of code

_COMMENT = r"(?:#+|//+|/\*+|\*|<!--|--|;+|%+|\{/\*)"
_DOTS = r"(?:\.{3,}|…)"
# Words that models use in comments that stand for omitted code.
_WORDS = (
    r"(?:rest of|remaining|existing|unchanged|same as (?:before|above)|as before|omitted|"
    r"previous(?:ly)?|other (?:methods|functions|code|imports|classes|tests)|original|"
    r"remains? the same|stays? the same|no changes?|your (?:code|implementation))"
)
_DOTS_LINE = re.compile(rf"^\s*{_COMMENT}\s*[\[(<]?\s*{_DOTS}.*$")
_WORDS_LINE = re.compile(
    rf"^\s*{_COMMENT}.*{_WORDS}.*{_DOTS}\s*[\])>]?\s*(?:\*/\}}?|-->)?\s*$", re.I
)
_PLAIN_LINE = re.compile(
    rf"^\s*{_COMMENT}\s*[\[(<]?\s*(?:the\s+|all\s+)?(?:rest of|remaining|existing|other)\s"
    rf"(?:the\s+|your\s+)?\S*\s?(?:code|file|function|functions|method|methods|class|classes|"
    rf"implementation|imports|content|tests|logic)\b.{{0,40}}$",
    re.I,
)
_SAME_LINE = re.compile(
    rf"^\s*{_COMMENT}.{{0,60}}\b(?:(?:remains?|stays?)\s+(?:the\s+same|unchanged)|(?:is|are)\s+unchanged)"
    r"\b.{0,40}$",
    re.I,
)
_BARE = re.compile(rf"^\s*[\[(<]?\s*{_DOTS}\s*(?:{_WORDS}.{{0,60}})?[\])>]?\s*$", re.I)
_PATTERNS = (_DOTS_LINE, _WORDS_LINE, _PLAIN_LINE, _SAME_LINE)


def elided_line(new: str, old: str = "") -> tuple[int, str] | None:
    """The number and text of the first line of `new` that stands for omitted code, or None.

    A line that is also in `old` does not count, nor does `...` as the body of a Python definition.
    """
    before_edit = {line.strip() for line in old.split("\n")}
    before = ""
    for number, line in enumerate(new.split("\n"), 1):
        bare = line.strip()
        if bare and bare not in before_edit:
            if any(pattern.match(line) for pattern in _PATTERNS):
                return number, line
            if _BARE.match(line) and not _is_body(bare, before):
                return number, line
        if bare:
            before = bare
    return None


def _is_body(bare: str, before: str) -> bool:
    """Whether the line `bare` is the Python body `...`, after a header or a docstring."""
    return bare == "..." and before.endswith((":", '"""', "'''", ">>>"))


# Storage


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
    """The line ends of `text`. A line that is unchanged or replaces one line keeps the old end."""
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


def plain_sha256(text: str) -> str:
    """The SHA-256 of a text without blank lines and without spaces at the ends of its lines."""
    plain = "\n".join(line.rstrip() for line in text.splitlines() if line.strip())
    return sha256(plain.encode("utf-8", "surrogatepass"))
