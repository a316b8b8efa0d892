"""Ten thousand adversarial paths, and links that are swapped between check and use: no escape.

The tree is real. What lies outside says so in its content, and must be neither read nor changed.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localagent.core.changes import file_change
from localagent.core.errors import LocalAgentError, OutsideWorkspace
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.permissions.rules import Permissions, Rule
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.tools.base import ToolContext
from localagent.tools.registry import standard_tools
from localagent.workspace.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")

OUTSIDE = b"OUTSIDE: nobody may see or change this\n"
INSIDE = b"inside\n"
PATHS = 10_000
ALL = Permissions([Rule("*", "**", "allow"), Rule("*", "*", "allow")])


@pytest.fixture
def tree(tmp_path: Path) -> Workspace:
    root, out = tmp_path / "work", tmp_path / "out"
    for name in ("a.py", "src/b.py", "src/deep/c.py", "Ünï/d.py", ".env", ".git/config", "x y/e"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(INSIDE)
    (root / ".localagent").mkdir()
    for name in ("a.py", "secret.txt", "src/b.py", "deep/c.py"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(OUTSIDE)
    (tmp_path / "a.py").write_bytes(OUTSIDE)
    (tmp_path / "work2").mkdir()
    (tmp_path / "work2/a.py").write_bytes(OUTSIDE)
    links = {
        "up": "..", "out": "../out", "abs": str(out), "root": "/", "self": "/proc/self/root",
        "cwd": "/proc/self/cwd", "file": "../out/secret.txt", "loop": "loop", "in": "src",
        "chain": "in/../up", "src/back": "../../out", "dangling": "../out/new",
        "fd": "/proc/self/fd", "dev": "/dev/zero",
    }  # fmt: skip
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    return Workspace.open(root)


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """All that is outside of the workspace, with its content."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.is_relative_to(folder / "work")
        and not path.is_relative_to(folder / "journal")
        and not path.is_relative_to(folder / "session")
    }


def paths(space: Workspace, count: int, seed: int) -> Iterator[str]:
    """Paths as a model, or somebody who writes a repository, could make them up."""
    rng = random.Random(seed)
    root, above = str(space.root), str(space.root.parent)
    parts = [
        *("..", ".", "", "a.py", "src", "b.py", "deep", "c.py", "up", "out", "abs", "root", "self"),
        *("cwd", "file", "loop", "in", "chain", "back", "dangling", "fd", "dev", "pipe"),
        *("work", "work2", ".git", ".GIT", ".g\u200cit", "config", ".localagent", ".env", ".ENV"),
        *("SRC", "A.PY", "secret.txt", "Ünï", unicodedata.normalize("NFD", "Ünï"), "d.py", "x y"),
        *("new", "etc", "passwd", "proc", "self", "0", "1", "~", "~root", "...", "..\\", "..\\.."),
        *("%2e%2e", "\0", "*", "$HOME"),
        *("a\0b", "\ud800", "‮", "．．", "x" * 300, "a" * 255, " ", "\n", "..\n", " ..", ".. "),
    ]  # fmt: skip
    starts = [
        *("", "", "", "", "/", "//", "./", "../", root + "/", root, above + "/", root + "/../"),
        *(root + "2/", "/proc/self/root" + root + "/", "/proc/self/cwd/"),
        *(f"/proc/{os.getpid()}/root/", "/dev/fd/0", "/dev/stdin", "/dev/null", "~/", "file://"),
        *("\\\\?\\", "C:\\", " /", "\t"),
    ]  # fmt: skip
    real = ["a.py", "src/b.py", "src/deep/c.py", "Ünï/d.py", "x y/e", ".env", "in/b.py", "out/a.py"]
    noise = [".", "", "src/..", "in/deep/..", "up/work", "out/../work", "../work", "new/..", "self"]
    for _ in range(count // 3):
        name = rng.choice(real)
        for _ in range(rng.randrange(3)):
            at = rng.choice([0, name.find("/") + 1])
            name = f"{name[:at]}{rng.choice(noise)}/{name[at:]}"
        yield rng.choice(["", "", "./", root + "/", above + "/out/../work/"]) + name
    for _ in range(count - count // 3):
        depth = rng.choice([1, 1, 2, 2, 3, 4, 6, 12, 400])
        inner = "/".join(rng.choice(parts) for _ in range(depth))
        yield rng.choice(starts) + inner + rng.choice(["", "", "", "/", "/.", "/..", " ", "\0"])


def test_ten_thousand_paths(tree: Workspace) -> None:
    before = snapshot(tree.root.parent)
    read = refused = 0
    for path in paths(tree, PATHS, 7):
        ALL.decide("edit", "write", path)  # never an exception, whatever the text
        try:
            name = tree.relative(path)
        except OutsideWorkspace:
            refused += 1
            with pytest.raises(OutsideWorkspace):
                tree.read_bytes(path)
            assert not tree.exists(path)
            continue
        assert Path(os.path.realpath(tree.root / name)).is_relative_to(tree.root), path
        assert tree.relative(name) == name, path
        verdict = ALL.decide("edit", "write", name)
        parts = {part.casefold() for part in name.split("/")}
        assert verdict.action == ("deny" if parts & {".git", ".localagent"} else verdict.action)
        try:
            assert tree.read_bytes(path, 100) == INSIDE, path
            read += 1
        except OSError:
            pass
    assert read > PATHS // 50
    assert refused > PATHS // 4
    assert snapshot(tree.root.parent) == before


def test_no_text_that_leads_out_is_allowed_to_be_written(tree: Workspace) -> None:
    """The permission rules look at the text alone, without the tree's links."""
    for path in paths(tree, PATHS, 11):
        if ALL.decide("edit", "write", path).action == "deny":
            continue
        plain = os.path.normpath("/w/" + path)
        assert plain == "/w" or plain.startswith("/w/"), path
        assert not path.startswith("/")


def test_tools_and_journal_follow_no_path_out(tree: Workspace, home: Path) -> None:
    before = snapshot(tree.root.parent)
    journal = Checkpoints(tree.root, tree.root.parent / "session", 1)
    tools = standard_tools()
    sandbox = PlainSandbox()
    context = ToolContext(tree, sandbox, lambda changes: journal.apply(changes) and None)
    for number, path in enumerate(paths(tree, 400, 13)):
        for tool, more in (("read", {}), ("write", {"body": "new\n"}), ("list", {})):
            try:
                result = tools[tool].prepare({"path": path, **more}, context).perform()
            except LocalAgentError as error:
                assert "OUTSIDE" not in error.message
                continue
            assert "OUTSIDE" not in result.for_model, path
        if number % 4 == 0:
            try:
                journal.apply([file_change(path, b"new\n")])
            except LocalAgentError:
                pass
    sandbox.close()
    assert snapshot(tree.root.parent) == before


@contextmanager
def swapping(folder: Path, outside: Path) -> Iterator[None]:
    """While it is open, `folder` is now itself and now a link to `outside`."""
    stop = threading.Event()
    aside = folder.with_name("aside")

    def swap() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError):  # what is written in between may be in the way
                folder.rename(aside)
                folder.symlink_to(outside)
            with contextlib.suppress(OSError):
                folder.unlink()
            with contextlib.suppress(OSError):
                aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def tried(times: int, what: Callable[[], bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for _ in range(times):
        try:
            found.add(what())
        except (OSError, LocalAgentError):
            continue
    return found


def test_a_folder_swapped_for_a_link_is_not_read_through(tree: Workspace) -> None:
    (tree.root / "src/a.py").write_bytes(INSIDE)
    with swapping(tree.root / "src", tree.root.parent / "out"):
        found = tried(3000, lambda: tree.read_bytes("src/a.py"))
        found |= tried(3000, lambda: tree.read_listed("src/a.py"))
    assert found == {INSIDE}


def test_a_folder_that_became_a_link_after_the_check(tree: Workspace) -> None:
    """The state in between, held still."""
    name = tree.relative("src/b.py")
    (tree.root / "src").rename(tree.root / "aside")
    (tree.root / "src").symlink_to("../out")
    with pytest.raises(OSError):
        tree.read_listed(name)


def test_a_search_follows_no_folder_that_became_a_link(tree: Workspace) -> None:
    from localagent.tools.search import _read, _run  # the worker, after the files were listed

    sandbox = PlainSandbox()
    context = ToolContext(tree, sandbox, lambda _changes: None)
    (tree.root / "src").rename(tree.root / "aside")
    (tree.root / "src").symlink_to("../out")
    assert _run("e", True, False, ["src/b.py", "aside/b.py"], context).hits == [
        ("aside/b.py", 1, [(1, "inside")])
    ]
    assert not _read(b"", timed_out=False).hits
    sandbox.close()


def test_a_folder_swapped_for_a_link_is_not_written_through(tree: Workspace, home: Path) -> None:
    before = snapshot(tree.root.parent)
    journal = Checkpoints(tree.root, tree.root.parent / "session", 1)
    with swapping(tree.root / "src", tree.root.parent / "out"):
        for number in range(60):
            tried(
                1,
                lambda n=number: bool(journal.apply([file_change("src/b.py", b"%d" % n)])) and b"",
            )
    assert snapshot(tree.root.parent) == before
