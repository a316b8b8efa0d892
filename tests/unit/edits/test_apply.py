"""Whole files, and code that was left out of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import EditError
from localagent.edits.textfile import TextFile, decode, elided_line, encode, replace_file


@pytest.mark.parametrize(
    "line",
    [
        "# ... existing code ...",
        "    # ... rest of the code",
        "// ... existing code ...",
        "/* ... rest of file ... */",
        "<!-- ... -->",
        "# Rest of the code remains the same",
        "# rest of the file",
        "# (rest of the implementation)",
        "# The rest of the code remains unchanged",
        "# existing code here",
        "# other methods remain the same",
        "# Existing methods...",
        "...",
        "[... rest of the file ...]",
        "# …",
        "# all other functions are unchanged",
    ],
)
def test_left_out(line: str) -> None:
    assert elided_line(f"x = 1\n{line}\n") == (2, line)
    assert elided_line(f"x = 1\n{line}\n", f"{line}\ny\n") is None
    with pytest.raises(EditError, match="line 2 stands for omitted code"):
        replace_file(None, f"x = 1\n{line}\n")


@pytest.mark.parametrize(
    "text",
    [
        "def f(): ...",
        "class P:\n    def f(self) -> int:\n        ...\n",
        'def f():\n    """Doc."""\n    ...\n',
        "x = [...]\nf(...)",
        "# wait for the rest of the data",
        "# skip existing files",
        "print('...')",
        "rest = 1  # the remaining items",
        "# other users may edit the same file",
        "# this is the same as in the standard library",
        "# loading...",
        "# the original order is kept",
    ],
)
def test_not_left_out(text: str) -> None:
    assert elided_line(text) is None


@given(st.binary(max_size=40), st.text(st.characters(codec="latin-1"), max_size=40))
def test_a_whole_file_holds_the_new_text(data: bytes, text: str) -> None:
    try:
        new = replace_file(decode(data), text)
    except EditError:
        return
    wanted = text.replace("\r\n", "\n").replace("\r", "\n")
    assert new.text.rstrip("\n") == wanted.rstrip("\n")
    raw = encode(new)
    assert new.text.count("\n") == len(re.findall("\r\n|\r|\n", _raw_text(new, raw)))


def _raw_text(file: TextFile, raw: bytes) -> str:
    mark = {"utf-16-le": 2, "utf-16-be": 2, "utf-8-sig": 3}.get(file.encoding, 0)
    return raw[mark:].decode("utf-8" if file.encoding == "utf-8-sig" else file.encoding)


def test_refused() -> None:
    with pytest.raises(EditError, match="changes nothing"):
        replace_file(decode(b"a\r\n"), "a\n")
    with pytest.raises(EditError, match="cannot be written"):
        replace_file(decode(b"\xe9"), "→")
