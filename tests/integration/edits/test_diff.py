"""Unified diffs that git accepts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.edits.diff import unified

texts = st.lists(st.sampled_from(["a", "b", "c d", "", "\x0c", "é"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n".join(lines), "".join(line + "\n" for line in lines)])
)


def test_equal() -> None:
    assert unified("a", "x\n", "x\n") == ""


def test_shape() -> None:
    assert unified("d/a.py", "x\ny", "x\nz\n") == (
        "--- a/d/a.py\n+++ b/d/a.py\n@@ -1,2 +1,2 @@\n x\n-y\n\\ No newline at end of file\n+z\n"
    )
    assert unified("a", None, "x\n").startswith("--- /dev/null\n+++ b/a\n")
    assert unified("a", "x\n", None).startswith("--- a/a\n+++ /dev/null\n")
    assert unified("a", None, "") == "--- /dev/null\n+++ b/a\n"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, texts)
def test_git_applies_it(tmp_path: Path, before: str, after: str) -> None:
    if not before or not after:
        return
    target = tmp_path / "f.txt"
    target.write_bytes(before.encode())
    patch = unified("f.txt", before, after)
    if not patch:
        assert before == after
        return
    done = subprocess.run(
        ["git", "apply", "-"], cwd=tmp_path, input=patch.encode(), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == after.encode()


@pytest.mark.parametrize("path", ["a\nb", "x\r"])
def test_odd_names_stay_on_one_line(path: str) -> None:
    assert len(unified(path, "x\n", "y\n").splitlines()) == 5
