"""The hunks of a diff, their lines on the new side, and what is left out."""

from __future__ import annotations

from localagent.agent.review.hunks import parse_hunks

DIFF = """\
diff --git a/old.py b/new.py
similarity index 90%
rename from old.py
rename to new.py
--- a/old.py
+++ b/new.py
@@ -3,4 +3,5 @@ def f():
 a
--- b
+++ c
+d
 e
@@ -20,2 +21,1 @@
 x
-y
\\ No newline at end of file
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-z
diff --git a/pic.png b/pic.png
Binary files a/pic.png and b/pic.png differ
diff --git a/fresh.py b/fresh.py
new file mode 100644
--- /dev/null
+++ b/fresh.py
@@ -0,0 +1,1 @@
+n = 1
"""


def test_lines_have_their_numbers_on_the_new_side() -> None:
    first, second, fresh = parse_hunks(DIFF)
    assert (first.path, first.old_path) == ("new.py", "old.py")
    assert first.added == {4: "++ c", 5: "d"}
    assert first.numbered().split("\n") == [
        *("    3  a", "      --- b", "    4 +++ c", "    5 +d", "    6  e")
    ]
    assert second.added == {} and second.lines == (" x", "-y")
    assert (fresh.path, fresh.old_path, fresh.added) == ("fresh.py", "", {1: "n = 1"})


def test_no_diff_has_no_hunks() -> None:
    assert parse_hunks("") == []


def test_names_in_quotes_and_kinds_are_read() -> None:
    diff = (
        'diff --git "a/\\303\\251 \\"\\t.py" "b/\\303\\251 \\"\\t.py"\n'
        "new file mode 100644\nindex 0000000..1234567\n--- /dev/null\n"
        '+++ "b/\\303\\251 \\"\\t.py"\t\n@@ -0,0 +1 @@\n+a\n'
        "diff --git a/x.py b/x.py\nnew file mode 120000\nindex 0000000..1234567\n"
        "--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+/etc/passwd\n"
        "\\ No newline at end of file\n"
        "diff --git a/sub b/sub\nindex 1234567..7654321 160000\n--- a/sub\n+++ b/sub\n"
        "@@ -1 +1 @@\n-Subproject commit 1234567\n+Subproject commit 7654321\n"
        "diff --git a/b.py b/b.py\nindex 1234567..7654321 100644\n--- a/b.py\n+++ b/b.py\n"
        "@@ -1 +1 @@\n-index 1..2 120000\n+new mode 120000\n"
    )
    hunks = parse_hunks(diff)
    assert [(hunk.path, hunk.old_path, hunk.kind) for hunk in hunks] == [
        ('\u00e9 "\t.py', "", "file"),
        ("x.py", "", "link"),
        ("sub", "sub", "submodule"),
        ("b.py", "b.py", "file"),
    ]
    assert hunks[1].lines == ("+/etc/passwd",)
