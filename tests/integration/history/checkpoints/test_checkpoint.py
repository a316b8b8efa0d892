"""Applying changes: what is written, what is refused, and that it is all or nothing."""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.changes import Change, deletion, file_change
from localagent.core.errors import LocalAgentError, OutsideWorkspace, RefusedError, WorkspaceError
from localagent.history.checkpoints import checkpoint
from localagent.history.checkpoints.checkpoint import Checkpoints

Pictures = Callable[[Path], dict[str, tuple[str, int, bytes]]]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def turn(root: Path, session_dir: Path) -> Checkpoints:
    return Checkpoints(root, session_dir, 1)


def test_a_change_is_written_and_described(root: Path, turn: Checkpoints) -> None:
    before = (root / "src/main.py").read_bytes()
    [event] = turn.apply([file_change("src/main.py", b"print('bye')\n")])
    assert (root / "src/main.py").read_bytes() == b"print('bye')\n"
    assert (event.path, event.before_sha256) == ("src/main.py", sha(before))
    assert event.after_sha256 == sha(b"print('bye')\n")
    assert "-print('hello')\n+print('bye')\n" in event.diff


def test_modes_are_kept_and_can_be_changed(root: Path, turn: Checkpoints) -> None:
    turn.apply([file_change("run.sh", b"new")])
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o755
    [event] = turn.apply([file_change("run.sh", b"new", 0o640)])
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o640
    assert event.diff == "old mode 0755\nnew mode 0640\n"


def test_a_change_cannot_make_a_file_run_as_its_owner(root: Path, turn: Checkpoints) -> None:
    turn.apply([file_change("tool", b"x", 0o4755)])
    assert stat.S_IMODE((root / "tool").stat().st_mode) == 0o755


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no extended attributes here")
def test_new_content_has_no_capabilities_of_the_old(root: Path, turn: Checkpoints) -> None:
    """Only root can keep them; whoever starts the program would get its rights."""
    bind = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service
    try:
        os.setxattr(root / "run.sh", "security.capability", bind)
    except OSError:
        pytest.skip("only root sets capabilities, on some file systems")
    os.setxattr(root / "run.sh", "user.note", b"kept")
    turn.apply([file_change("run.sh", b"new")])
    assert os.listxattr(root / "run.sh") == ["user.note"]


def test_new_files_get_their_folders(root: Path, turn: Checkpoints) -> None:
    turn.apply([file_change("new/deep/file.txt", b"x")])
    assert (root / "new/deep/file.txt").read_bytes() == b"x"
    assert stat.S_IMODE((root / "new/deep").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "new/deep/file.txt").stat().st_mode) == 0o644


def test_nothing_to_do_leaves_no_record(root: Path, session_dir: Path, turn: Checkpoints) -> None:
    same = (root / "src/main.py").read_bytes()
    assert turn.apply([file_change("src/main.py", same), deletion("not/there")]) == []
    assert not (session_dir / "checkpoints").exists()


def test_a_folder_is_deleted_with_all_it_holds(root: Path, turn: Checkpoints) -> None:
    (root / "src/deep").mkdir()
    (root / "src/deep/x").write_bytes(b"x")
    events = turn.apply([deletion("src")])
    assert not (root / "src").exists()
    assert [event.path for event in events] == ["src/deep/x", "src/main.py"]


def test_files_and_folders_can_change_places(root: Path, turn: Checkpoints) -> None:
    turn.apply([file_change("src", b"now a file"), Change("run.sh", "dir"), deletion("empty")])
    assert (root / "src").read_bytes() == b"now a file"
    assert (root / "run.sh").is_dir()
    turn.apply([deletion("src"), file_change("run.sh/in", b"1"), file_change("src/x/y", b"2")])
    assert (root / "run.sh/in").read_bytes() == b"1"
    assert (root / "src/x/y").read_bytes() == b"2"


def test_a_link_inside_is_written_through(root: Path, turn: Checkpoints) -> None:
    [event] = turn.apply([file_change("link", b"through")])
    assert (root / "link").is_symlink()
    assert (root / "src/main.py").read_bytes() == b"through"
    assert event.path == "src/main.py"


def test_a_link_is_replaced_after_a_deletion(root: Path, turn: Checkpoints) -> None:
    turn.apply([deletion("link"), file_change("link", b"plain")])
    assert not (root / "link").is_symlink()
    assert (root / "link").read_bytes() == b"plain"
    assert (root / "src/main.py").read_bytes() == b"print('hello')\n"


def test_a_hard_link_outside_keeps_its_content(
    root: Path, turn: Checkpoints, tmp_path: Path
) -> None:
    os.link(root / "src/main.py", tmp_path / "other-name")
    turn.apply([file_change("src/main.py", b"new")])
    assert (tmp_path / "other-name").read_bytes() == b"print('hello')\n"


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../out", "a\0b", ".", ""])
def test_paths_that_lead_out_are_refused(
    root: Path, turn: Checkpoints, path: str, picture_of: Pictures, tmp_path: Path
) -> None:
    before = picture_of(tmp_path)
    with pytest.raises(RefusedError):
        turn.apply([file_change("fine", b"x"), file_change(path, b"x")])
    assert picture_of(tmp_path) == before


@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("path", ["out", "out/file"])
def test_links_that_lead_out_are_refused(
    root: Path, turn: Checkpoints, tmp_path: Path, absolute: bool, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "out").symlink_to(outside if absolute else "../outside")
    with pytest.raises(OutsideWorkspace):
        turn.apply([file_change(path, b"x")])
    assert list(outside.iterdir()) == []


def test_links_in_a_circle_are_refused(root: Path, turn: Checkpoints) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(OutsideWorkspace, match="circle"):
        turn.apply([file_change("one/x", b"x")])


def test_a_link_to_an_absolute_path_inside_is_followed(root: Path, turn: Checkpoints) -> None:
    (root / "abs").symlink_to(root / "src")
    turn.apply([file_change("abs/main.py", b"x")])
    assert (root / "src/main.py").read_bytes() == b"x"


def test_a_linked_folder_that_is_replaced_is_not_followed(root: Path, turn: Checkpoints) -> None:
    (root / "dirlink").symlink_to("src")
    turn.apply([Change("dirlink", "dir"), file_change("dirlink/main.py", b"other")])
    assert (root / "src/main.py").read_bytes() == b"print('hello')\n"
    assert (root / "dirlink/main.py").read_bytes() == b"other"


@pytest.mark.parametrize("path", [".git/config", ".git", "sub/.GIT/hooks/x", "linked/config"])
def test_git_is_never_touched(root: Path, turn: Checkpoints, path: str) -> None:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "linked").symlink_to(".git")
    with pytest.raises(RefusedError, match="git"):
        turn.apply([file_change(path, b"x")])


def test_a_folder_with_git_in_it_is_not_deleted(root: Path, turn: Checkpoints) -> None:
    subprocess.run(["git", "init", "-q", str(root / "sub")], check=True)
    with pytest.raises(RefusedError, match="git"):
        turn.apply([deletion("sub")])
    assert (root / "sub/.git/HEAD").exists()


def test_special_files_are_refused(root: Path, turn: Checkpoints) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(root / "sock"))
        for path in ("pipe", "sock"):
            with pytest.raises(RefusedError, match="device, a socket or a named pipe"):
                turn.apply([file_change(path, b"x")])
            with pytest.raises(RefusedError):
                turn.apply([deletion(path)])


def test_a_file_changed_since_it_was_read_is_not_overwritten(root: Path, turn: Checkpoints) -> None:
    read = sha((root / "src/main.py").read_bytes())
    (root / "src/main.py").write_bytes(b"by hand")
    with pytest.raises(WorkspaceError, match=r"another program changed src/main\.py"):
        turn.apply([file_change("src/main.py", b"x")], {"src/main.py": read})
    with pytest.raises(WorkspaceError):
        turn.apply([file_change("src/main.py", b"x")], {"src/main.py": None})
    turn.apply([file_change("src/main.py", b"x")], {"src/main.py": sha(b"by hand")})
    turn.apply([file_change("new", b"x")], {"new": None})


def test_a_read_only_file_needs_a_mode(root: Path, turn: Checkpoints) -> None:
    (root / "run.sh").chmod(0o444)
    with pytest.raises(RefusedError, match=r"run\.sh is read-only"):
        turn.apply([file_change("run.sh", b"x")])
    turn.apply([file_change("run.sh", b"x", 0o644)])
    assert (root / "run.sh").read_bytes() == b"x"


def test_a_file_where_a_folder_is_needed(root: Path, turn: Checkpoints) -> None:
    with pytest.raises(WorkspaceError, match=r"run\.sh is not a folder"):
        turn.apply([file_change("run.sh/below", b"x")])


def test_a_missing_workspace(tmp_path: Path, session_dir: Path) -> None:
    with pytest.raises(WorkspaceError, match="there is no folder"):
        Checkpoints(tmp_path / "gone", session_dir, 1).apply([file_change("a", b"")])


def test_what_is_kept_is_bounded(root: Path, session_dir: Path, picture_of: Pictures) -> None:
    turn = Checkpoints(root, session_dir, 1, max_bytes=1500)
    turn.apply([file_change("data.bin", b"small")])  # keeps 1024 bytes
    (root / "other.bin").write_bytes(b"1" * 1000)
    before = picture_of(root)
    with pytest.raises(RefusedError, match=r"other\.bin .* stored for undo"):
        turn.apply([file_change("fresh", b"x"), deletion("other.bin")])
    assert picture_of(root) == before


def test_records_and_contents_are_private(root: Path, session_dir: Path, turn: Checkpoints) -> None:
    turn.apply([file_change("run.sh", b"x")])
    for path in session_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_own_records_inside_the_workspace_are_out_of_reach(tmp_path: Path) -> None:
    session_dir = tmp_path / "sessions" / "20260101-0000-aaaa"
    session_dir.mkdir(parents=True)
    turn = Checkpoints(tmp_path, session_dir, 1)
    with pytest.raises(RefusedError, match="own records"):
        turn.apply([file_change("sessions/20260101-0000-aaaa/blobs/x", b"")])
    with pytest.raises(RefusedError, match="own records"):
        turn.apply([deletion("sessions")])


def test_extended_attributes_are_kept(root: Path, turn: Checkpoints) -> None:
    try:
        os.setxattr(root / "run.sh", "user.note", b"kept")
    except OSError:
        pytest.skip("no extended attributes on this file system")
    turn.apply([file_change("run.sh", b"x")])
    assert os.getxattr(root / "run.sh", "user.note") == b"kept"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="giving files away needs root")
def test_the_owner_is_kept(root: Path, turn: Checkpoints) -> None:
    os.chown(root / "run.sh", 1234, 2345)
    turn.apply([file_change("run.sh", b"x")])
    found = (root / "run.sh").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 2345, 0o755)


def test_names_that_are_not_utf8_and_long_names(root: Path, turn: Checkpoints) -> None:
    odd, long = os.fsdecode(b"caf\xe9.txt"), "n" * 255
    turn.apply([file_change(odd, b"1"), file_change(long, b"2"), file_change("line\nbreak", b"3")])
    assert (root / odd).read_bytes() == b"1"
    assert (root / long).read_bytes() == b"2"
    assert (root / "line\nbreak").read_bytes() == b"3"


def test_no_space_changes_nothing(
    small_disk: Path, session_dir: Path, picture_of: Pictures
) -> None:
    (small_disk / "old").write_bytes(b"old" * 1000)
    (small_disk / "gone").write_bytes(b"g")
    before = picture_of(small_disk)
    turn = Checkpoints(small_disk, session_dir, 1)
    changes = [
        file_change("old", b"fits"),
        deletion("gone"),
        file_change("new/big", b"x" * (2 << 20)),
    ]
    with pytest.raises(WorkspaceError, match="no space left to write new/big"):
        turn.apply(changes)
    assert picture_of(small_disk) == before
    turn.apply(changes[:2])
    assert (small_disk / "old").read_bytes() == b"fits"


def test_no_space_in_mid_apply_takes_back_what_was_written(
    small_disk: Path, session_dir: Path, picture_of: Pictures
) -> None:
    # The file becomes a folder, so its content can only be staged after the removal.
    (small_disk / "d").write_bytes(b"was a file")
    (small_disk / "a").write_bytes(b"old")
    before = picture_of(small_disk)
    with pytest.raises(WorkspaceError, match="no space left"):
        Checkpoints(small_disk, session_dir, 1).apply(
            [file_change("a", b"new"), Change("d", "dir"), file_change("d/x", b"x" * (2 << 20))]
        )
    assert picture_of(small_disk) == before


def test_no_space_for_the_checkpoint(root: Path, small_disk: Path, picture_of: Pictures) -> None:
    session_dir = small_disk / "20260101-0000-aaaa"
    session_dir.mkdir()
    (root / "big").write_bytes(os.urandom(2 << 20))
    before = picture_of(root)
    with pytest.raises(WorkspaceError, match="no space left to write a checkpoint"):
        Checkpoints(root, session_dir, 1).apply([deletion("big")])
    assert picture_of(root) == before


def test_a_read_only_file_system(small_disk: Path, session_dir: Path, picture_of: Pictures) -> None:
    (small_disk / "a").write_bytes(b"a")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = picture_of(small_disk)
    for change in (file_change("a", b"b"), file_change("new", b"b"), deletion("a")):
        with pytest.raises(LocalAgentError, match=r"Read-only|read-only"):
            Checkpoints(small_disk, session_dir, 1).apply([change])
    assert picture_of(small_disk) == before


def test_a_failure_in_mid_apply_takes_everything_back(
    root: Path, turn: Checkpoints, picture_of: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Someone writes to the last file at the moment that the first ones are already renamed."""
    (root / "zz").write_bytes(b"old")
    before = picture_of(root)
    rename = checkpoint.SafeDir.rename

    def disturbed(self: checkpoint.SafeDir, path: str, temp: str) -> None:
        rename(self, path, temp)
        (root / "zz").write_bytes(b"by hand")

    monkeypatch.setattr(checkpoint.SafeDir, "rename", disturbed)
    changes = [file_change(path, b"new") for path in ("data.bin", "n/new", "zz")]
    with pytest.raises(WorkspaceError, match="another program changed zz"):
        turn.apply([*changes, deletion("empty")])
    assert picture_of(root) == {**before, "zz": ("file", 0o644, b"by hand")}


def test_an_interrupt_takes_everything_back(
    root: Path, turn: Checkpoints, picture_of: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = picture_of(root)
    rename = checkpoint.SafeDir.rename
    calls = iter(range(100))

    def interrupted(self: checkpoint.SafeDir, path: str, temp: str) -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt
        rename(self, path, temp)

    monkeypatch.setattr(checkpoint.SafeDir, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        turn.apply([file_change("data.bin", b"1"), file_change("run.sh", b"2")])
    assert picture_of(root) == before


@pytest.mark.skipif(sys.platform != "linux", reason="needs renameat2")
def test_a_folder_swapped_for_a_link_never_leads_out(
    root: Path, session_dir: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"not yours")
    (root / "d").mkdir()
    (root / "d.link").symlink_to(outside)
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(root / "d"), os.fsencode(root / "d.link")
    stop = threading.Event()

    def flip() -> None:
        exchange = 2  # RENAME_EXCHANGE: there is always either the folder or the link
        while not stop.is_set():
            assert libc.renameat2(-100, names[0], -100, names[1], exchange) == 0

    thread = threading.Thread(target=flip)
    thread.start()
    written = refused = 0
    try:
        for number in range(400):
            change = file_change("d/file", b"%d" % number)
            try:
                Checkpoints(root, session_dir, number + 1).apply([change])
                written += 1
            except LocalAgentError:
                refused += 1
    finally:
        stop.set()
        thread.join()
    assert [entry.name for entry in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == b"not yours"
    assert refused, "the race was never met, so the test proves nothing"
    assert written + refused == 400
