"""Search and replace with quotations that drift."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import EditError
from localagent.edits.search_replace import apply_search_replace

CODE = """\
import os


class Stack:
    def push(self, item):
        if item is None:
            raise ValueError("none")
        self.items.append(item)

    def pop(self):
        return self.items.pop()
"""


def test_exact() -> None:
    after = apply_search_replace(CODE, "import os\n", "import sys\n")
    assert after == CODE.replace("import os", "import sys")


def test_part_of_a_line() -> None:
    assert apply_search_replace(CODE, "items.pop()", "items.pop(-1)") == CODE.replace(
        "items.pop()", "items.pop(-1)"
    )


def test_deletion_takes_the_whole_line() -> None:
    assert apply_search_replace("a\nb\nc\n", "b\n", "") == "a\nc\n"
    assert apply_search_replace("a\nb\nc\n", "b", "") == "a\nc\n"


def test_blanks_at_line_ends() -> None:
    assert apply_search_replace("a  \nb\t\nc\n", "a\nb\n", "x\n") == "x\nc\n"


def test_indentation_shifted() -> None:
    search = "def pop(self):\n    return self.items.pop()\n"
    replace = "def pop(self):\n    if not self.items:\n        raise IndexError\n    return 1\n"
    after = apply_search_replace(CODE, search, replace)
    assert after.endswith(
        "    def pop(self):\n        if not self.items:\n            raise IndexError\n"
        "        return 1\n"
    )


def test_indented_too_deep() -> None:
    search = "            def pop(self):\n                return self.items.pop()\n"
    replace = "            def pop(self):\n                return 1\n            # end\n"
    after = apply_search_replace(CODE, search, replace)
    assert after.endswith("    def pop(self):\n        return 1\n    # end\n")


def test_first_line_only_without_indentation() -> None:
    search = "def pop(self):\n        return self.items.pop()\n"
    after = apply_search_replace(CODE, search, "def pop(self):\n        return 1\n")
    assert after.endswith("    def pop(self):\n        return 1\n")


def test_tabs_in_the_file() -> None:
    text = "def f():\n\tif x:\n\t\ty()\n\t\tz()\n"
    after = apply_search_replace(
        text, "    if x:\n        y()\n", "    if x:\n        a()\n            b()\n"
    )
    assert after == "def f():\n\tif x:\n\t\ta()\n\t\t    b()\n\t\tz()\n"


def test_blank_lines_around() -> None:
    search = "\n\nimport os\n\n\n\n\n"
    assert apply_search_replace(CODE, search, "\nimport sys\n\n") == CODE.replace("os", "sys", 1)


def test_line_numbers_copied_from_a_listing() -> None:
    search = "10|    def pop(self):\n11|        return self.items.pop()\n"
    replace = "10|    def pop(self):\n11|        return 1\n"
    after = apply_search_replace(CODE, search, replace)
    assert after.endswith("    def pop(self):\n        return 1\n")


def test_ambiguous() -> None:
    with pytest.raises(EditError, match=r"2 places \(lines 1, 3\)"):
        apply_search_replace("a\nb\na\n", "a\n", "c\n")
    with pytest.raises(EditError, match=r"places \(lines 1, 2\)"):
        apply_search_replace("xa\nya\n", "a", "c")
    with pytest.raises(EditError, match=r"lines 1, 3"):
        apply_search_replace("  a()\n\n    a()\n", "\ta()\n", "c\n")


def test_no_match_shows_the_nearest_lines() -> None:
    with pytest.raises(EditError, match="most similar") as caught:
        apply_search_replace(CODE, "    def pop(self):\n        return self.list.pop()\n", "x")
    assert "10|    def pop(self):\n11|        return self.items.pop()" in str(caught.value)
    with pytest.raises(EditError, match="most similar") as caught:
        apply_search_replace(CODE, "self.items.appendd(itm)", "x")
    assert "8|        self.items.append(item)" in str(caught.value)
    with pytest.raises(EditError, match="neither the SEARCH lines nor similar"):
        apply_search_replace(CODE, "@@@@@@@@@@", "x")


def test_already_done() -> None:
    with pytest.raises(EditError, match="REPLACE lines are, at line 10"):
        apply_search_replace(
            CODE, "def pap(self):", "    def pop(self):\n        return self.items"
        )


def test_nothing_to_do() -> None:
    with pytest.raises(EditError, match="changes nothing"):
        apply_search_replace(CODE, "import os\n", "import os\n")


def test_empty_search() -> None:
    assert apply_search_replace("", "", "x\n") == "x\n"
    with pytest.raises(EditError, match="empty"):
        apply_search_replace(CODE, " \n", "x\n")


lines = st.lists(st.from_regex(r"[ ]{0,8}[a-d]{0,3}", fullmatch=True), min_size=1, max_size=12)


@given(lines, st.data())
def test_a_unique_quotation_is_replaced_there_and_nowhere_else(
    parts: list[str], data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(parts) - 1))
    end = data.draw(st.integers(start + 1, len(parts)))
    parts[start] = " " * data.draw(st.integers(0, 6)) + "unique"
    drift = data.draw(st.sampled_from(["", "  ", "    "]))
    quoted = [drift + line if line.strip() else line for line in parts[start:end]]
    after = apply_search_replace("\n".join(parts), "\n".join(quoted) + "\n", drift + "NEW")
    got = after.split("\n")
    assert got[:start] == parts[:start]
    assert got[start].strip() == "NEW"
    assert got[start + 1 :] == parts[end:]


@given(st.text("ab \n|1:", max_size=40), st.text("ab \n|1:", max_size=15), st.text(max_size=8))
def test_any_input_is_edited_or_refused(text: str, search: str, replace: str) -> None:
    try:
        after = apply_search_replace(text, search, replace)
    except EditError as error:
        assert len(error.message) < 3000
    else:
        assert after != text or not search.strip()


def test_a_large_file_is_searched_quickly() -> None:
    text = "\n".join(f"value_{n} = {n}" for n in range(50_000))
    with pytest.raises(EditError):
        apply_search_replace(text, "value_x = 17\nother = 2\n", "y")
    assert re.search("NEW$", apply_search_replace(text, "value_49999 = 49999", "NEW"))
