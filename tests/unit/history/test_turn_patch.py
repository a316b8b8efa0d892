"""The net change of a turn, whatever steps led to it."""

from __future__ import annotations

from pathlib import Path

from localagent.core.changes import deletion, file_change
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.history.checkpoints.patch import turn_patch


def test_a_patch_holds_the_net_change(tmp_path: Path) -> None:
    root, session = tmp_path / "w", tmp_path / "s"
    root.mkdir()
    session.mkdir()
    (root / "a.py").write_text("one\n")
    (root / "old.py").write_text("old\n")
    (root / "back.py").write_text("same\n")
    journal = Checkpoints(root, session, 1, 1 << 20)
    for changes in (
        [file_change("a.py", b"two\n"), file_change("back.py", b"other\n"), deletion("old.py")],
        [
            file_change("a.py", b"three\n"),
            file_change("back.py", b"same\n"),
            file_change("b/new.py", b"new\n"),
        ],
        [file_change("data.bin", b"\xff\xfe")],
    ):
        journal.apply(changes)
    assert turn_patch(root, session, 1) == (
        "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-one\n+three\n"
        "--- /dev/null\n+++ b/b/new.py\n@@ -0,0 +1 @@\n+new\n"
        "--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
    )
    assert turn_patch(root, session, 2) == ""
