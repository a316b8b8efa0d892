"""Sandboxes for tests, and a project for them to work on.

Which kinds work is probed once a test session, and the tests of a process share one sandbox of each
kind, so that its next launcher is always ready.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.errors import SandboxError
from localagent.core.locks import locked
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.sandbox.kinds.unshare import UnshareSandbox
from localagent.sandbox.select import CONFINING, KINDS, make

OVERLAY_AND_COPIES = ("unshare", "bubblewrap", "none")
"""Kinds with different snapshots; those of landlock and none are made by the same code."""


def obstacle(kind: str, folder: Path) -> str:
    """Why a sandbox kind does not work on this machine, "" where it does."""
    if sys.platform != "linux":
        return "" if kind == "none" else "needs Linux"
    try:
        sandbox = make(kind, folder / "scratch")
        with sandbox.open(folder) as snapshot:
            snapshot.run(Command("true"))
        sandbox.close()
    except SandboxError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def obstacles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each kind, and why it does not work here; the workers of a session share one probe."""

    def probe() -> dict[str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
            return {kind: obstacle(kind, tmp_path_factory.mktemp("probe")) for kind in KINDS}

    if "PYTEST_XDIST_WORKER" not in os.environ:
        return probe()
    file = tmp_path_factory.getbasetemp().parent / "sandboxes.json"  # of this session
    with locked(file.with_suffix(".lock")):
        if not file.exists():
            file.write_text(json.dumps(probe()))
        return dict(json.loads(file.read_text()))


NewSandbox = Callable[..., Sandbox]


@pytest.fixture
def new_sandbox(obstacles: dict[str, str]) -> Iterator[NewSandbox]:
    """Make a sandbox of a kind, with ports; skips the test where the kind does not work."""
    made: list[Sandbox] = []

    def new(kind: str, *ports: int) -> Sandbox:
        if obstacles[kind]:
            pytest.skip(f"no sandbox {kind} here: {obstacles[kind]}")
        made.append(make(kind, ports=ports))
        return made[-1]

    yield new
    for sandbox in made:
        sandbox.close()


@pytest.fixture(scope="session")
def shared_sandboxes(
    obstacles: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Sandbox]]:
    """The sandbox of a kind that all tests of this process share."""
    made: dict[str, Sandbox] = {}

    def get(kind: str) -> Sandbox:
        if obstacles[kind]:
            pytest.skip(f"no sandbox {kind} here: {obstacles[kind]}")
        if kind not in made:
            made[kind] = make(kind, tmp_path_factory.mktemp("scratch") / "base")
        return made[kind]

    yield get
    for sandbox in made.values():
        sandbox.close()


@pytest.fixture
def unshare(shared_sandboxes: Callable[[str], Sandbox]) -> UnshareSandbox:
    """The strictest kind."""
    sandbox = shared_sandboxes("unshare")
    assert isinstance(sandbox, UnshareSandbox)
    return sandbox


@pytest.fixture
def plain(home: Path) -> Iterator[PlainSandbox]:
    sandbox = PlainSandbox()
    yield sandbox
    sandbox.close()


@pytest.fixture(params=(*CONFINING, "none"))  # "seccomp" has the snapshot of "none"
def sandbox(request: pytest.FixtureRequest, shared_sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    """Every kind of sandbox in turn."""
    return shared_sandboxes(request.param)


@pytest.fixture(params=CONFINING)
def confining(
    request: pytest.FixtureRequest, shared_sandboxes: Callable[[str], Sandbox]
) -> Sandbox:
    """Every kind that confines commands, in turn."""
    return shared_sandboxes(request.param)


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
