r"""The text of a file, apart from its storage, and its replacement as a whole.

Edits work on text with "\n" between lines. `decode` records the encoding, the byte order mark, line
ends and a missing newline at the end, and `encode` restores them: `encode(decode(data)) == data`
holds for all bytes. Nothing here reads or writes a file.
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
    r"""Text with "\n" at each line's end, and the storage of its bytes.

    `newline` is the most frequent line end. `endings` holds the end of each line in order where
    they differ, and is None where all are `newline`.
    """

    text: str
    encoding: Encoding = "utf-8"
    newline: str = "\n"
    endings: tuple[str, ...] | None = None


def is_binary(data: bytes) -> bool:
    """Whether `data` is no text: a zero byte near its start, and no UTF-16 mark."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(data)[1] == "latin-1" or "\0" in _decoded(data[:_BINARY_BYTES])[0]
    return b"\0" in data[:_BINARY_BYTES]


def decode(data: bytes) -> TextFile:
    """The text of `data`. Latin-1, which loses nothing, reads bytes in no known encoding."""
    raw, encoding = _decoded(data)
    if "\r" not in raw:  # nearly all files; a search for each line's end is slow
        return TextFile(raw, encoding)
    ends = _NEWLINE.findall(raw)
    counts = Counter(ends)
    newline = counts.most_common(1)[0][0]
    endings = None if len(counts) == 1 else tuple(ends)
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

    The new text ends with a newline where the old text did or was empty. An unchanged line keeps
    its line end.
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
    """The file with new text, stored as the old file was; `old` is None for a new file.

    Raises EditError for a text that omits code ("# ... existing code ..."), for one that changes
    nothing, and for a character that the file's encoding lacks.
    """
    elided = elided_line(new_text, old.text if old else "")
    if elided is not None:
        number, line = elided
        raise EditError(
            f"line {number} stands for code that was left out ({line.strip()[:60]!r}); "
            "write the whole content"
        )
    new = with_text(old or TextFile(""), new_text)
    if old is not None and new == old:
        raise EditError("the edit changes nothing: the file has this content already")
    encode(new)
    return new


# Omissions: comments in place of code, as models write them

_COMMENT = r"(?:#+|//+|/\*+|\*|<!--|--|;+|%+|\{/\*)"
_DOTS = r"(?:\.{3,}|…)"
# The words of such comments, from models that write them.
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

    A line that `old` has too belongs to the file. `...` where Python takes it as a body is code.
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
    """Whether a line `...` is a Python body, after a header or a docstring."""
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
    """The line ends of `text`. A line that stays, or that one line replaces, keeps its end."""
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
