"""Files as text and back: nothing is lost, and what stays is stored as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import EditError
from localagent.edits.textfile import TextFile, decode, encode, is_binary, with_text

pieces = st.sampled_from(["a", "é", "\n", "\r\n", "\r", "→", "\x0c", "\u2028", "  x", "😀", "\0"])
texts = st.lists(pieces, max_size=30).map("".join)
codecs_ = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])


@given(st.binary(max_size=60))
def test_any_bytes_come_back(data: bytes) -> None:
    assert encode(decode(data)) == data


@given(texts, codecs_)
def test_any_text_comes_back(text: str, codec: str) -> None:
    data = text.encode(codec)
    file = decode(data)
    assert encode(file) == data
    assert "\r" not in file.text
    assert encode(with_text(file, file.text)) == data


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_marks_before_odd_bytes(mark: bytes) -> None:
    for rest in (b"", b"\x00", b"\x00\xd8", b"\xd8\x00", b"\xff\xfe", b"abc"):
        assert encode(decode(mark + rest)) == mark + rest


@pytest.mark.parametrize(
    ("before", "new", "after"),
    [
        (b"a\r\nb\r\n", "a\nc\n", b"a\r\nc\r\n"),
        (b"a\nb", "a\nc\n", b"a\nc"),
        (b"a\nb\n", "a\nc", b"a\nc\n"),
        (b"", "a", b"a\n"),
        (b"\xef\xbb\xbfa\n", "b\n", b"\xef\xbb\xbfb\n"),
        (b"caf\xe9\n", "caf\xe9s\n", b"caf\xe9s\n"),
        (b"a\r\nb\nc\r\n", "a\nb\nx\nc\n", b"a\r\nb\nx\r\nc\r\n"),
        (b"a\r\nb\nc\r\n", "a\nB\nc\n", b"a\r\nB\nc\r\n"),
        ("é\n".encode("utf-16"), "→\n", "→\n".encode("utf-16")),
        (b"a\n", "x\r\ny\r\n", b"x\ny\n"),
        (b"a\n", "", b""),
    ],
)
def test_with_text(before: bytes, new: str, after: bytes) -> None:
    assert encode(with_text(decode(before), new)) == after


@given(texts, texts)
def test_a_mixed_file_keeps_the_ends_of_lines_that_stay(first: str, second: str) -> None:
    file = decode(("same\r\n" + first + "\nlast\n").encode())
    after = encode(with_text(file, "same\n" + second + "\nlast\n"))
    assert after.startswith(b"same\r\n")
    assert after.endswith(b"last\n")


def test_a_character_that_the_file_cannot_hold() -> None:
    with pytest.raises(EditError, match=r"line 2.*u2192"):
        encode(with_text(decode(b"caf\xe9\nx\n"), "caf\xe9\n\u2192\n"))
    with pytest.raises(EditError, match="line 1"):
        encode(TextFile("\ud800"))


def test_binary() -> None:
    assert is_binary(b"\x7fELF\x02\x01\x01\x00")
    assert is_binary(b"a\0b")
    assert is_binary(b"\xff\xfe\x00\x00")
    assert is_binary(b"\xff\xfe\x00\xd8")
    assert not is_binary(b"")
    assert not is_binary("é".encode())
    assert not is_binary("é".encode("utf-16"))
    assert not is_binary(b"caf\xe9")


@pytest.mark.parametrize(
    ("data", "text", "newline", "endings"),
    [
        (b"a\nb\n", "a\nb\n", "\n", None),
        (b"a", "a", "\n", None),
        (b"a\r\nb\r\n", "a\nb\n", "\r\n", None),
        (b"a\rb", "a\nb", "\r", None),
        (b"a\r\nb\nc\r\n", "a\nb\nc\n", "\r\n", ("\r\n", "\n", "\r\n")),
    ],
)
def test_line_ends(data: bytes, text: str, newline: str, endings: tuple[str, ...] | None) -> None:
    file = decode(data)
    assert (file.text, file.newline, file.endings) == (text, newline, endings)
