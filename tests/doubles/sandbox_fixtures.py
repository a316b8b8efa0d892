"""Sandboxes for the guard's tests, and a project for them to work on."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.sandbox.kinds.unshare import UnshareSandbox
from localagent.sandbox.select import KINDS, make


def working(kind: str, folder: Path) -> Sandbox:
    """A sandbox of the kind; the test is skipped where it does not work."""
    if sys.platform != "linux":
        pytest.skip("needs Linux")
    folder.mkdir(exist_ok=True)
    try:
        sandbox = make(kind)
        with sandbox.open(folder) as snapshot:
            snapshot.run(Command("true"))
    except SandboxError as error:
        pytest.skip(f"no sandbox {kind} here: {error}")
    return sandbox


@pytest.fixture
def unshare(home: Path) -> Iterator[UnshareSandbox]:
    """The confining sandbox; the test is skipped where the machine has none."""
    sandbox = working("unshare", home / "first")
    assert isinstance(sandbox, UnshareSandbox)
    yield sandbox
    sandbox.close()


@pytest.fixture
def plain(home: Path) -> Iterator[PlainSandbox]:
    sandbox = PlainSandbox()
    yield sandbox
    sandbox.close()


# What they do at the borders is tried by the canaries in each run.
_SLOW = ("bubblewrap", "landlock")


@pytest.fixture(
    params=[pytest.param(k, marks=pytest.mark.slow if k in _SLOW else ()) for k in KINDS]
)
def sandbox(request: pytest.FixtureRequest, home: Path) -> Iterator[Sandbox]:
    """Every kind of sandbox in turn."""
    sandbox = PlainSandbox() if request.param == "none" else working(request.param, home / "first")
    yield sandbox
    sandbox.close()


@pytest.fixture(params=KINDS[:-1])
def confining(request: pytest.FixtureRequest, home: Path) -> Iterator[Sandbox]:
    """Every kind that confines commands, in turn."""
    sandbox = working(request.param, home / "first")
    yield sandbox
    sandbox.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path short enough for a unix socket's (107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="la-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def project(short: Path) -> Path:
    """A folder with files, folders, links and modes to find again."""
    folder = short / "project"
    (folder / "src/deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a\n")
    (folder / "src/b.py").write_text("b = 1\n")
    (folder / "src/deep/c").write_bytes(bytes(range(256)))
    (folder / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a.txt")
    (folder / "dangling").symlink_to("nowhere")
    return folder


@pytest.fixture
def untouched(project: Path) -> Iterator[None]:
    """Fails the test if the project is not byte for byte what it was, times included."""
    before = tree_state(project)
    yield
    assert tree_state(project) == before


@pytest.fixture
def look() -> Callable[[Path], dict[str, object]]:
    return tree_state


def tree_state(root: Path) -> dict[str, object]:
    """Every entry below `root` with its kind, mode, content, time and inode."""
    found: dict[str, object] = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            content: object = None
            try:
                stat = path.lstat()
                if path.is_symlink():
                    content = os.readlink(path)
                elif path.is_file():
                    content = path.read_bytes()
            except FileNotFoundError:
                # A sandbox clears its own folder away in the background.
                if "localagent/scratch" in str(path):
                    continue
                raise
            key = str(path.relative_to(root))
            found[key] = (oct(stat.st_mode), content, stat.st_mtime_ns, stat.st_ino)
    found["."] = (oct(root.lstat().st_mode), None, root.lstat().st_mtime_ns, root.lstat().st_ino)
    return found
