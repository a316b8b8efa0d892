"""Fixtures of the journal's tests: a workspace, a session's folder, exact pictures of trees."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.changes import Change
from localagent.history.sessions.transcript import open_session

Picture = dict[str, tuple[str, int, bytes]]


def picture(root: Path) -> Picture:
    """Every path below `root` with its kind, mode and content, links not followed."""
    found: Picture = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            info = path.lstat()
            rel = path.relative_to(root).as_posix()
            if stat.S_ISLNK(info.st_mode):
                found[rel] = ("symlink", 0, os.fsencode(os.readlink(path)))
            elif stat.S_ISDIR(info.st_mode):
                found[rel] = ("dir", stat.S_IMODE(info.st_mode), b"")
            else:
                found[rel] = ("file", stat.S_IMODE(info.st_mode), path.read_bytes())
    return found


def random_batch(rng: random.Random) -> list[Change]:
    """Some changes of a few paths; some batches contradict themselves, as models do."""
    names = ["a", "b", "d", "e"]
    changes = []
    for _ in range(rng.randint(1, 5)):
        path = "/".join(rng.choice(names) for _ in range(rng.randint(1, 3)))
        kind = rng.choice(["file", "file", "file", "symlink", "dir", "absent"])
        mode = rng.choice([None, 0o644, 0o755, 0o600, 0o700])
        if kind == "file":
            data = rng.randbytes(rng.choice([0, 10, 3000, 20_000]))
            changes.append(Change(path, "file", data, mode))
        elif kind == "symlink":
            target = rng.choice([b"a", b"../b", b"nowhere", b"/etc"])
            changes.append(Change(path, "symlink", target))
        elif kind == "dir":
            changes.append(Change(path, "dir", b"", mode))
        else:
            changes.append(Change(path, "absent"))
    return changes


@pytest.fixture
def picture_of() -> Callable[[Path], Picture]:
    return picture


@pytest.fixture
def make_batch() -> Callable[[random.Random], list[Change]]:
    return random_batch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with a few files."""
    folder = tmp_path / "work space ü"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_bytes(b"print('hello')\n")
    (folder / "run.sh").write_bytes(b"#!/bin/sh\r\necho hi\r\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "data.bin").write_bytes(bytes(range(256)) * 4)
    (folder / "link").symlink_to("src/main.py")
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def session_dir(root: Path) -> Path:
    """The folder of a new session in the workspace."""
    with open_session(root) as session:
        return session.folder


@pytest.fixture
def quick_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in memory where there is one, with localagent's data in it, too: for tests that
    write much, and for which it makes no difference how long a sync takes."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=where, prefix="localagent-test-") as folder:
        monkeypatch.setenv("XDG_DATA_HOME", f"{folder}/data")
        yield Path(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, in memory."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system needs root and the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
