"""Files are replaced as a whole, with the permissions that their users ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.core.atomic import replacing, write_atomic


def modes(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:o}"


def test_a_new_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "one\r\ntwo\n", sync=True)
    assert (tmp_path / "a").read_bytes() == b"one\r\ntwo\n"
    assert modes(tmp_path / "a") == "600"


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_a_mode_is_exact_and_none_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "exact", "x", mode=0o664)
        write_atomic(tmp_path / "umask", "x", mode=None)
    finally:
        os.umask(before)
    assert (modes(tmp_path / "exact"), modes(tmp_path / "umask")) == ("664", "640")


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_atomic(link, "new")
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("old", "new", False)


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "missing" / "a", "x")
