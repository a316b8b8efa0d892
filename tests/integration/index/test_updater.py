"""A live index: it hears what changes, compares before each turn, and says what it cannot do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from few_watches import run_with_few_watches

from localagent.index import updater
from localagent.index.disk import DiskIndex
from localagent.index.watcher import WatchedFolder, folders_to_watch
from localagent.workspace.workspace import Workspace

PATIENCE = 20.0  # seconds for what takes a quarter of one on an idle machine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "a.py").write_text("def alpha(): pass\n")
    (root / "src" / "deep" / "b.py").write_text("def beta(): pass\n")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


@pytest.fixture
def index(root: Path, tmp_path: Path) -> Iterator[DiskIndex]:
    with DiskIndex(Workspace.open(root), tmp_path / "cache" / "i.sqlite", live=True) as index:
        index.refresh()
        yield index


def found(index: DiskIndex, query: str) -> list[str]:
    return [hit.path for hit in index.search(query)]


def soon(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_it_is_built_and_compared_again(index: DiskIndex, root: Path) -> None:
    assert found(index, "alpha") == ["src/a.py"]
    assert list(index.files()) == ["src/a.py", "src/deep/b.py"]
    assert index.warning() == ""
    (root / "src" / "a.py").write_text("def omega(): pass\n")
    index.refresh()
    assert found(index, "omega") == ["src/a.py"]


def test_what_is_saved_is_found_without_a_comparison(index: DiskIndex, root: Path) -> None:
    (root / "src" / "a.py").write_text("def gamma(): pass\n")
    assert soon(lambda: found(index, "gamma") == ["src/a.py"])
    (root / "src" / "deep" / "new.py").write_text("def delta(): pass\n")
    assert soon(lambda: found(index, "delta") == ["src/deep/new.py"])
    assert "src/deep/new.py" in index.files()
    (root / "src" / "deep" / "new.py").rename(root / "src" / "moved.py")
    assert soon(lambda: found(index, "delta") == ["src/moved.py"])
    (root / "src" / "moved.py").unlink()
    assert soon(lambda: found(index, "delta") == [] and "src/moved.py" not in index.files())
    replaced = root / "src" / "a.py.tmp"  # as most editors save
    replaced.write_text("def epsilon(): pass\n")
    replaced.replace(root / "src" / "a.py")
    assert soon(lambda: found(index, "epsilon") == ["src/a.py"])


def test_folders_that_come_and_go(index: DiskIndex, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "package"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "c.py").write_text("def zeta(): pass\n")
    outside.rename(root / "package")
    assert soon(lambda: found(index, "zeta") == ["package/inner/c.py"])
    (root / "package" / "inner" / "d.py").write_text("def kappa(): pass\n")
    assert soon(lambda: found(index, "kappa") == ["package/inner/d.py"])
    (root / "package").rename(tmp_path / "gone")
    assert soon(lambda: found(index, "zeta kappa") == [])


def test_folders_are_looked_at_only_where_some_changed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def counted(*args: object) -> tuple[WatchedFolder, ...]:
        looked.append(1)
        return folders_to_watch(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(updater, "folders_to_watch", counted)
    with DiskIndex(Workspace.open(root), tmp_path / "cache" / "i.sqlite", live=True) as index:
        index.refresh()

        def is_settled() -> bool:
            count = len(looked)
            index.refresh()
            return len(looked) == count

        assert soon(is_settled)  # the start of the watcher brings a hint, late on a busy machine
        before = len(looked)
        for n in range(5):
            (root / "src" / "a.py").write_text(f"def gamma_{n}(): pass\n")
            index.refresh()
        assert len(looked) == before
        (root / "src" / "node_modules" / "x").mkdir(parents=True)
        assert soon(lambda: len(looked) > before)


def test_what_must_not_be_shown_stays_out(index: DiskIndex, root: Path) -> None:
    (root / ".env").write_text("TOKEN=eta\n")
    (root / "src" / "link.py").symlink_to("/etc/passwd")
    (root / ".git" / "eta.py").write_text("def eta(): pass\n")
    (root / "src" / "seen.py").write_text("def eta(): pass\n")
    assert soon(lambda: found(index, "eta") == ["src/seen.py"])
    (root / ".gitignore").write_text("seen.py\n")
    assert soon(lambda: found(index, "eta") == [])
    (root / "src" / "deep" / "seen.py").write_text("def eta(): pass\n")
    (root / "src" / "last.py").write_text("def theta(): pass\n")
    assert soon(lambda: found(index, "theta") == ["src/last.py"])
    assert found(index, "eta") == []


def test_many_changes_at_once(index: DiskIndex, root: Path) -> None:
    for n in range(500):
        (root / "src" / f"m{n}.py").write_text(f"def many_{n}(): pass\n")
    assert soon(lambda: found(index, "many_499")[:1] == ["src/m499.py"])
    assert soon(lambda: len(index.files()) == 502)


def test_two_of_them_on_one_file(index: DiskIndex, root: Path, tmp_path: Path) -> None:
    with DiskIndex(Workspace.open(root), tmp_path / "cache" / "i.sqlite", live=True) as other:
        other.refresh()
        (root / "src" / "a.py").write_text("def gamma(): pass\n")
        assert soon(lambda: found(index, "gamma") == found(other, "gamma") == ["src/a.py"])


def test_an_index_that_cannot_be_written_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, where a folder is needed")
    with DiskIndex(Workspace.open(root), tmp_path / "cache" / "i.sqlite", live=True) as index:
        index.refresh()
        assert "only files that you name are found" in index.warning()
        assert list(index.files()) == ["src/a.py", "src/deep/b.py"]
        assert found(index, "alpha") == []
        assert found(index, "fix src/a.py") == ["src/a.py"]
        assert list(index.definitions("alpha")) == []
        (root / "c.py").write_text("x = 1\n")
        index.refresh()
        assert "c.py" in index.files()


def test_closing_in_the_middle_of_a_build(root: Path, tmp_path: Path) -> None:
    for n in range(2000):
        (root / "src" / f"m{n}.py").write_text(f"def many_{n}(): return {n}\n" * 20)
    file = tmp_path / "cache" / "i.sqlite"
    started = time.monotonic()
    DiskIndex(Workspace.open(root), file, live=True).close()
    assert time.monotonic() - started < PATIENCE
    with DiskIndex(Workspace.open(root), file) as index:
        assert found(index, "many_1999") == ["src/m1999.py"]


LIMITED = """
import sys
from localagent.index import updater
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace
from pathlib import Path
if __name__ == "__main__":
    root = Path(sys.argv[1])
    with DiskIndex(Workspace.open(root), Path(sys.argv[2]), live=True) as index:
        while not index.ready():  # a loaded machine takes longer than one refresh waits
            index.refresh()
        print(index.limited())
        (root / "src" / "a.py").write_text("def gamma(): pass\\n")
        for _ in range(10):
            index.refresh()
            if hits := index.search("gamma"):
                break
        print([hit.path for hit in hits])
"""


@pytest.mark.parametrize("above", ["", "src/deep/"], ids=["one by one", "as a tree"])
def test_a_limit_on_watches_is_said_and_nothing_is_missed(
    root: Path, tmp_path: Path, above: str
) -> None:
    for n in range(80):
        (root / f"{above}d{n}").mkdir(parents=True)
        (root / f"{above}d{n}" / "x.py").write_text("x = 1\n")
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    file = tmp_path / "cache" / "i.sqlite"
    said = run_with_few_watches(50, [sys.executable, script, root, file])
    assert "inotify watch limit reached" in said
    assert "['src/a.py']" in said


class TestToWatch:
    def test_everything_below_a_folder_without_strangers(self, root: Path) -> None:
        files = ["src/a.py", "src/deep/b.py"]
        assert folders_to_watch(root, files) == (
            WatchedFolder("", False),
            WatchedFolder("src", True),
        )
        (root / "src" / "__pycache__").mkdir()
        assert folders_to_watch(root, files) == (
            WatchedFolder("", False),
            WatchedFolder("src", True),
        )

    def test_a_folder_beside_a_heavy_one_on_its_own(self, root: Path) -> None:
        (root / "src" / "node_modules" / "x").mkdir(parents=True)
        assert folders_to_watch(root, ["src/a.py", "src/deep/b.py"]) == (
            WatchedFolder("", False),
            WatchedFolder("src", False),
            WatchedFolder("src/deep", True),
        )

    def test_many_heavy_ones_are_watched_along(self, root: Path) -> None:
        files = [f"src/p{n}/a.py" for n in range(100)]
        for n in range(100):
            (root / f"src/p{n}/node_modules/x").mkdir(parents=True)
        assert folders_to_watch(root, files) == (
            WatchedFolder("", False),
            WatchedFolder("src", True),
        )
