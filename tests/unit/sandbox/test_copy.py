"""Files are copied as they are, without the room that their holes do not take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localagent.sandbox.snapshots import copy


@pytest.mark.skipif(sys.platform != "linux", reason="the blocks are Linux's")
def test_a_file_with_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.write(b"start")
        file.seek(1 << 30)
        file.write(b"middle" * 5000)
        file.truncate(3 << 30)
    copy._copy_content(source, target)
    assert target.stat().st_size == 3 << 30
    assert target.stat().st_blocks * 512 < 1 << 20
    with target.open("rb") as file:
        assert file.read(6) == b"start\0"
        file.seek(1 << 30)
        assert file.read(30_001) == b"middle" * 5000 + b"\0"


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 5000])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "source").write_bytes(content)
    copy._copy_content(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content
