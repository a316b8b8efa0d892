"""Changes with modes that lock out their own owner are applied, undone and recovered."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.core.changes import Change, file_change
from localagent.core.errors import RefusedError, WorkspaceError
from localagent.history.checkpoints import checkpoint
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.history.checkpoints.undo import undo
from localagent.workspace.git.branch import file_version
from localagent.workspace.safe_files import SafeDir

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no permission bits there")

NOBODY = 65534


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of an ordinary user, who is locked out by modes; root is not."""
    folder = Path(tempfile.mkdtemp(prefix="la-locked-"))
    monkeypatch.setenv("HOME", str(folder))
    (folder / "first").mkdir()  # loads what an ordinary user may not be able to read
    Checkpoints(folder / "first", folder / "first-sessions/s", 1).apply([file_change("a", b"")])
    undo(folder / "first", sessions=folder / "first-sessions")
    shutil.rmtree(folder / ".local")
    root = os.geteuid() == 0
    if root:
        os.chown(folder, NOBODY, NOBODY)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        (folder / "ws").mkdir()
        yield folder
    finally:
        if root:
            os.seteuid(0)
            os.setegid(0)
        shutil.rmtree(folder)


def change(path: str, mode: int) -> Change:
    return Change(path, "dir", mode=mode)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("locked", [0o000, 0o200, 0o400, 0o500, 0o600, 0o700])
def test_applied_and_undone(base: Path, locked: int) -> None:
    root = base / "ws"
    (root / "old").write_text("old\n")
    changes = [file_change("r/f", b"1\n"), file_change("r/deep/g", b"2\n", 0), change("r", locked)]
    changes += [change("r/deep", locked), file_change("secret", b"s", 0), Change("old", "absent")]
    done = Checkpoints(root, base / "sessions/s", 1).apply(changes)
    assert [event.path for event in done] == ["old", "r/deep/g", "r/f", "secret"]
    assert (mode(root / "r"), mode(root / "secret")) == (locked, 0)
    undo(root, sessions=base / "sessions")
    assert os.listdir(root) == ["old"] and (root / "old").read_text() == "old\n"


def test_a_locked_folder_of_the_user_keeps_its_mode(base: Path) -> None:
    root = base / "ws"
    (root / "r").mkdir()
    (root / "r/f").write_text("kept\n")
    (root / "r").chmod(0o000)
    Checkpoints(root, base / "sessions/s", 1).apply([file_change("new", b"n")])
    with pytest.raises((RefusedError, WorkspaceError)):
        Checkpoints(root, base / "sessions/s", 1).apply(
            [file_change("new", b"m")], {"new": "another"}
        )
    Checkpoints(root, base / "sessions/s", 2).apply([Change("r", "absent")])
    undo(root, "2", sessions=base / "sessions")
    assert mode(root / "r") == 0
    (root / "r").chmod(0o700)
    assert (root / "r/f").read_text() == "kept\n"


class Killed(BaseException):
    """Stands for `kill -9`."""


def locked_tree(root: Path) -> dict[str, int]:
    """Fill `root` with entries whose owner may not read them, and return their modes."""
    (root / "r").mkdir()
    (root / "r/f").write_text("old\n")
    (root / "secret").write_text("s")
    modes = {"r/f": 0o200, "r": 0o000, "secret": 0o200}
    for path, bits in modes.items():
        (root / path).chmod(bits)
    return modes


def modes_of(root: Path, *paths: str) -> dict[str, int]:
    """The modes of `paths`, parents first; the parents are unlocked for it."""
    modes = {}
    for path in sorted(paths):
        modes[path] = mode(root / path)
        (root / path).chmod(modes[path] | stat.S_IRWXU)
    return modes


def kill(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize("moment", ["_keep", "apply_changes", "file_changes"])
def test_a_kill_leaves_no_mode_changed(
    base: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """At the moments: before the intent is recorded, after it, and after the change is done."""
    root = base / "ws"
    before = locked_tree(root)
    journal = Checkpoints(root, base / "sessions/s", 1)
    changes = [Change("r", "dir", mode=0o700), file_change("secret", b"new", 0o600)]
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, moment, kill)
        patch.setattr(checkpoint, "_take_back", lambda *_: None)
        patch.setattr(SafeDir, "_lock_again", lambda _: None)
        with pytest.raises(Killed):
            journal.apply([*changes, file_change("r/g", b"g")])
    assert mode(root / "secret") == 0o600  # unlocked, or new
    recovery = checkpoint.recover_workspace(root, base / "sessions")
    assert not recovery.failed
    done = {"r": 0o700, "r/f": 0o200, "secret": 0o600}
    assert modes_of(root, *before) == (done if moment == "file_changes" else before)


def test_a_mode_that_the_user_sets_later_stays(base: Path) -> None:
    root = base / "ws"
    locked_tree(root)
    changes = [file_change("secret", b"new", 0o600)]
    Checkpoints(root, base / "sessions/s", 1).apply([*changes, Change("r", "absent")])
    undo(root, sessions=base / "sessions")
    for path in ("secret", "r", "r/f"):
        (root / path).chmod(0o700 if path == "r" else 0o600)
    checkpoint.recover_workspace(root, base / "sessions")
    assert modes_of(root, "r", "r/f", "secret") == {"r": 0o700, "r/f": 0o600, "secret": 0o600}


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users")
def test_a_reader_without_a_log_changes_no_mode(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = base / "ws"
    before = locked_tree(root)
    monkeypatch.setattr(SafeDir, "_lock_again", lambda _: None)
    for path in ("r/f", "secret"):
        with pytest.raises(PermissionError):
            file_version(root, path)
    assert modes_of(root, *before) == before


def test_what_cannot_be_taken_back_keeps_no_session_from_starting(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = base / "ws"
    journal = Checkpoints(root, base / "sessions/s", 1)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a/f")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.TurnLog, "done", fail)
        patch.setattr(checkpoint, "revert", fail)
        with pytest.raises(WorkspaceError, match="still changed: a, a/f"):
            journal.apply([file_change("a/f", b"1")])
        failed = checkpoint.recover_workspace(root, base / "sessions").failed
        assert len(failed) == 1 and failed[0].startswith("s:1: ")
        with pytest.raises(WorkspaceError, match="cannot take back"):
            undo(root, sessions=base / "sessions")
    assert checkpoint.recover_workspace(root, base / "sessions").turns == ("s:1",)
    assert os.listdir(root) == []


def test_localagents_own_folder_is_never_changed(base: Path) -> None:
    protected = {".venv": "localagent itself runs from this folder"}
    journal = Checkpoints(base / "ws", base / "sessions/s", 1, protected=protected)
    for path in (".venv/lib/evil.pth", ".VENV", ".venv"):
        with pytest.raises(RefusedError, match="localagent itself runs from this folder"):
            journal.apply([file_change("other", b""), file_change(path, b"x")])
    assert os.listdir(base / "ws") == []
    journal.apply([file_change(".venv2", b"x")])


def test_no_link_leads_to_a_place_that_is_never_changed(base: Path) -> None:
    """A rule that judges the path as given does not see where the path leads."""
    root = base / "ws"
    for folder in (".localagent", ".venv/bin"):
        (root / folder).mkdir(parents=True)
    (root / "id_rsa").symlink_to(".localagent")
    (root / "x.pem").symlink_to(".venv/bin")
    journal = Checkpoints(root, base / "sessions/s", 1, protected={".venv": "keep out"})
    for path in ("id_rsa/config.toml", "x.pem/activate"):
        with pytest.raises(RefusedError, match="cannot be changed"):
            journal.apply([file_change(path, b"evil")])
    assert not any(path.is_file() for path in root.rglob("*"))
