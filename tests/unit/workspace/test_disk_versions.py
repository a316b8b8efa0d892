"""Versions of files on the disk are read below the root; no link on the path is followed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localagent.core.errors import UsageError
from localagent.workspace.git import branch
from localagent.workspace.git.ranges import content
from localagent.workspace.safe_files import entry_content, read_entry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file, a program, two links out of the folder, and a pipe."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "x.py").write_text("secret\n")
    (root / "a.py").write_text("one\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link.py").symlink_to(outside / "x.py")
    (root / "d").symlink_to(outside)
    os.mkfifo(root / "pipe")
    return root


def test_a_commit_has_links_and_nothing_below_them(root: Path) -> None:
    target = os.fsencode(root.parent / "outside" / "x.py")
    assert branch.file_version(root, "a.py") == (branch.FILE, b"one\n")
    assert branch.file_version(root, "run") == (branch.PROGRAM, b"#!/bin/sh\n")
    assert branch.file_version(root, "link.py") == (branch.LINK, target)
    assert branch.file_version(root, "d") == (branch.LINK, os.path.dirname(target))
    for path in ("d/x.py", "pipe", "missing", "missing/x.py", "a.py/x"):
        assert branch.file_version(root, path) is None, path


def test_a_review_and_a_commit_read_nothing_below_a_link(root: Path) -> None:
    assert entry_content(root, "a.py") == b"one\n"
    assert entry_content(root, "link.py") == os.fsencode(root.parent / "outside" / "x.py")
    for path in ("d/x.py", "pipe", "missing"):
        assert entry_content(root, path) is None, path
        assert content(root, "", path) is None, path
    assert content(root, "", "link.py") == entry_content(root, "link.py")
    with (root / "large.py").open("wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(UsageError, match=r"large\.py is larger than 64 MiB"):
        content(root, "", "large.py")


def test_the_content_of_an_entry_is_limited(root: Path) -> None:
    state, data = read_entry(root, "a.py", 2)
    assert (state.kind, state.size, data) == ("file", 4, b"on")
