"""Diffs as people see them: line numbers, and the words that changed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from localagent.ui.view.diff import diff_rows, draw_diff
from localagent.ui.view.screen import Screen

DIFF = """\
--- a/x.py
+++ b/x.py
@@ -8,5 +8,6 @@
 def price(lines):

-    return sum(line.price for line in lines)
+    total = sum(line.price * line.count for line in lines)
+    return total
     # the end
-x
+y
\\ No newline at end of file
@@ -100 +101,0 @@
-last
"""


def test_lines_have_their_numbers() -> None:
    assert [line.plain for line in diff_rows(DIFF)] == [
        "--- a/x.py",
        "+++ b/x.py",
        "@@ -8,5 +8,6 @@",
        "  8  def price(lines):",
        "  9",
        " 10 -    return sum(line.price for line in lines)",
        " 10 +    total = sum(line.price * line.count for line in lines)",
        " 11 +    return total",
        " 12      # the end",
        " 12 -x",
        " 13 +y",
        "    \\ No newline at end of file",
        "@@ -100 +101,0 @@",
        "100 -last",
    ]


def test_changed_words_are_marked() -> None:
    removed, added = list(diff_rows(DIFF))[5:7]

    def marked(line: object, style: str) -> list[str]:
        spans = line.spans  # type: ignore[attr-defined]
        return [line.plain[s.start : s.end] for s in spans if s.style == style]  # type: ignore[attr-defined]

    assert marked(removed, "diff.removed.word") == ["return"]
    assert marked(added, "diff.added.word") == ["total =", " * line.count"]


def test_lines_that_have_little_in_common_are_not_compared() -> None:
    whole = list(diff_rows("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-alpha beta\n+one(two, three)\n"))
    assert not [s for line in whole for s in line.spans if "word" in str(s.style)]


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (True, "100 -    return sum(line.price\n     for line in lines)\n"),
        (False, "100 -    return sum(line.price for line in lines)\n"),
    ],
)
def test_a_long_line_continues_below_its_own_column(live: bool, expected: str) -> None:
    """On a terminal; elsewhere a line of code stays one line."""
    out = io.StringIO()
    screen = Screen(Console(file=out, width=32, color_system=None), live=live, tick=False)
    draw_diff(screen, [Text("100 -    return sum(line.price for line in lines)")])
    assert out.getvalue() == expected
