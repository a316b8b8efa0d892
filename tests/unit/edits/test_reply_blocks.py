"""Edits as models write them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import EditError
from localagent.edits.reply_blocks import (
    SearchReplace,
    code,
    fences,
    search_replace_blocks,
)


class TestFences:
    @pytest.mark.parametrize(
        ("reply", "expected"),
        [
            ("```\na\n```", [("", "a\n", True)]),
            (
                "x\n```python\na\n```\ny\n~~~js\nb\n~~~",
                [("python", "a\n", True), ("js", "b\n", True)],
            ),
            ("```python\na\n", [("python", "a\n", False)]),
            ("```python\na", [("python", "a\n", False)]),
            ("````md\n```\na\n```\n````", [("md", "```\na\n```\n", True)]),
            ("```md\n```py\na\n```\n```", [("md", "```py\na\n```\n", True)]),
            ("```py\na\n```py\nb\n```", [("py", "a\n", False), ("py", "b\n", True)]),
            ("  ```py\n  a\n    b\n  ```", [("py", "a\n  b\n", True)]),
            ("use ```x``` here", []),
            ("```\n```", [("", "", True)]),
            ("~~~\n```\n~~~", [("", "```\n", True)]),
            ("```py\na\n```\n```py\nb", [("py", "a\n", True), ("py", "b\n", False)]),
        ],
    )
    def test_read(self, reply: str, expected: list[tuple[str, str, bool]]) -> None:
        assert [(f.info, f.body, f.closed) for f in fences(reply)] == expected

    @given(st.text("`~a \n", max_size=60))
    def test_blocks_are_in_order_and_do_not_overlap(self, reply: str) -> None:
        found = fences(reply)
        for one, two in pairwise(found):
            assert one.start < one.end <= two.start
        assert all(f.end <= reply.count("\n") + 1 for f in found)

    @given(st.lists(st.text("ab #", max_size=8), max_size=6))
    def test_what_was_fenced_comes_back(self, lines: list[str]) -> None:
        body = "".join(line + "\n" for line in lines)
        assert fences(f"Here:\n```python\n{body}```\nDone.")[0].body == body


class TestCode:
    def test_the_longest_block(self) -> None:
        reply = "Run\n```sh\nls\n```\nand\n```python\ndef f():\n    return 1\n```\n"
        assert code(reply) == "def f():\n    return 1\n"

    @pytest.mark.parametrize(
        "tail", ["", "\n```", "\n```\nThis works because.", "\n```\n```sh\nx\n```"]
    )
    def test_opened(self, tail: str) -> None:
        assert code("def f():\n    return 1" + tail, opened=True) == "def f():\n    return 1\n"

    def test_opened_and_yet_fenced(self) -> None:
        assert code("```python\nx = 1\n```", opened=True) == "x = 1\n"

    def test_no_fence(self) -> None:
        reply = "Here is the code:\n\nimport os\n\ndef f():\n    return 1\n\nIt returns one."
        assert code(reply) == "import os\n\ndef f():\n    return 1\n"
        assert code("I cannot do that.") == ""


BLOCK = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"


class TestSearchReplace:
    @pytest.mark.parametrize(
        "reply",
        [
            BLOCK,
            f"Sure.\n```python\n{BLOCK}```\nDone.",
            "<<<<< SEARCH\na\n=====\nb\n>>>>> REPLACE",
            "<<<<<<<<< search\na\n=========\nb\n>>>>>>>>> replace",
            "<<<<<<< ORIGINAL\na\n=======\nb\n>>>>>>> UPDATED",
            "<<<<<<<\na\n=======\nb\n>>>>>>>",
            "<<<<<<< SEARCH\na\n=======\nb\n",
            "```\n<<<<<<< SEARCH\na\n=======\nb\n```\nDone.",
            "<<<<<<< SEARCH\n```python\na\n```\n=======\n```python\nb\n```\n>>>>>>> REPLACE",
        ],
    )
    def test_read(self, reply: str) -> None:
        assert search_replace_blocks(reply) == [SearchReplace(None, "a\n", "b\n")]

    @pytest.mark.parametrize(
        "reply",
        [
            f"x/a.py\n{BLOCK}",
            f"x/a.py\n```\n{BLOCK}```",
            f"```python x/a.py\n{BLOCK}```",
            f"In `x/a.py`:\n\n```\n{BLOCK}```",
            BLOCK.replace("SEARCH", "SEARCH x/a.py"),
            f"### `x/a.py`\n\n```python\n{BLOCK}```",
            f"**x/a.py**\n```python\n{BLOCK}```",
            f"File: x/a.py\n```\n{BLOCK}```",
            f"```python:x/a.py\n{BLOCK}```",
            f'```python title="x/a.py"\n{BLOCK}```',
            f"1. **`x/a.py`**:\n```\n{BLOCK}",
        ],
    )
    def test_path(self, reply: str) -> None:
        assert search_replace_blocks(reply) == [SearchReplace("x/a.py", "a\n", "b\n")]

    def test_several(self) -> None:
        found = search_replace_blocks(f"x.py\n{BLOCK}{BLOCK}\ny.py\n{BLOCK}")
        assert [block.path for block in found] == ["x.py", "x.py", "y.py"]

    def test_missing_last_mark_before_the_next_block(self) -> None:
        found = search_replace_blocks("<<<<<<< SEARCH\na\n=======\nb\n" + BLOCK)
        assert found == [SearchReplace(None, "a\n", "b\n")] * 2

    def test_empty_halves(self) -> None:
        assert search_replace_blocks("<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE") == [
            SearchReplace(None, "", "")
        ]

    def test_refused(self) -> None:
        with pytest.raises(EditError, match="no ======= line"):
            search_replace_blocks("<<<<<<< SEARCH\na\n>>>>>>> REPLACE")
        with pytest.raises(EditError, match="more than one"):
            search_replace_blocks("<<<<<<< SEARCH\na\n=======\nb\n=======\nc\n>>>>>>> REPLACE")
        assert search_replace_blocks("no blocks, only x << 2") == []

    @given(
        st.lists(st.text("ab #<", max_size=6), max_size=4),
        st.lists(st.text("ab #>", max_size=4), max_size=4),
        st.integers(5, 9),
    )
    def test_what_was_written_comes_back(self, old: list[str], new: list[str], width: int) -> None:
        search = "".join(line + "\n" for line in old)
        replace = "".join(line + "\n" for line in new)
        reply = f"{'<' * width} SEARCH\n{search}{'=' * width}\n{replace}{'>' * width} REPLACE\n"
        if "<<<<<" not in search:
            assert search_replace_blocks(reply) == [SearchReplace(None, search, replace)]


@given(
    st.lists(
        st.sampled_from(
            [
                "```",
                "```py a.py",
                "<<<<<<< SEARCH",
                "=======",
                "a.py",
                "~~~",
                ">>>>>>> REPLACE",
                "x = 1",
                "",
                "  ```",
                "def f():",
                "# a.py",
            ]
        )
    )
)
def test_any_reply_is_read_or_refused(lines: list[str]) -> None:
    reply = "\n".join(lines)
    code(reply)
    code(reply, opened=True)
    try:
        search_replace_blocks(reply)
    except EditError as error:
        assert error.message
