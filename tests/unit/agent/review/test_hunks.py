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
