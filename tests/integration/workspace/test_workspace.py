"""The workspace: what it lists, what it lets in, what it keeps out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.workspace.workspace import Workspace


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)


def fill(folder: Path, *names: str) -> None:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(os.fsencode(name) + b"\n")


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    root = tmp_path / "work spåce"
    root.mkdir()
    return Workspace.open(root)


@pytest.fixture
def repo(space: Workspace) -> Workspace:
    git(space.root, "init", "-q")
    return space


def test_a_folder_that_cannot_be_written_to_names_a_way_on(space: Workspace) -> None:
    space.ensure_writable()
    if os.getuid() == 0:
        pytest.skip("the superuser may write everywhere")
    space.root.chmod(0o555)
    with pytest.raises(WorkspaceError, match="cannot be written to") as error:
        space.ensure_writable()
    assert "localagent -C ~/'work spåce-copy'" in error.value.hint


class TestOpen:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceError, match="no folder"):
            Workspace.open(tmp_path / "none")

    def test_a_file(self, tmp_path: Path) -> None:
        fill(tmp_path, "a")
        with pytest.raises(WorkspaceError, match="not a folder"):
            Workspace.open(tmp_path / "a")

    def test_nul(self) -> None:
        with pytest.raises(WorkspaceError):
            Workspace.open("a\0b")

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
    def test_unreadable(self, tmp_path: Path) -> None:
        tmp_path.chmod(0)
        try:
            with pytest.raises(WorkspaceError, match="cannot read"):
                Workspace.open(tmp_path)
        finally:
            tmp_path.chmod(0o700)

    def test_link_loop(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(WorkspaceError):
            Workspace.open(tmp_path / "loop")

    def test_empty_folder(self, space: Workspace) -> None:
        assert space.files() == []
        assert space.writable

    def test_resolved(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        assert Workspace.open(tmp_path / "link").root == (tmp_path / "real").resolve()


class TestRelative:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("a.py", "a.py"),
            ("./a.py", "a.py"),
            ("  a.py \n", "a.py"),
            ("d/../a.py", "a.py"),
            ("none/../a.py", "a.py"),
            ("d//e///f.py", "d/e/f.py"),
            ("d/", "d"),
            (".", "."),
            ("", "."),
            ("..a/b", "..a/b"),
            ("new/deep/x.py", "new/deep/x.py"),
        ],
    )
    def test_inside(self, space: Workspace, written: str, meant: str) -> None:
        fill(space.root, "a.py", "d/e/f.py")
        assert space.relative(written) == meant
        assert space.relative(f"{space.root}/{written.strip()}") == meant

    @pytest.mark.parametrize(
        "written",
        [
            "..",
            "../x",
            "d/../../x",
            "/etc/passwd",
            "~/x",
            "~root/x",
            "a\0b",
            "/",
            "\ud800",
            "/proc/self/cwd/a.py",
            "/proc/self/root/etc/passwd",
            "/dev/stdin",
        ],
    )
    def test_outside(self, space: Workspace, written: str, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(space.root, "a.py")
        monkeypatch.chdir(space.root)
        with pytest.raises(OutsideWorkspace):
            space.relative(written)
        assert not space.exists(written)

    def test_a_sibling_with_the_same_start(self, space: Workspace) -> None:
        with pytest.raises(OutsideWorkspace):
            space.relative(f"{space.root}2/x")

    def test_links(self, space: Workspace, tmp_path: Path) -> None:
        fill(tmp_path, "secret.txt", "out/x")
        fill(space.root, "src/a.py")
        (space.root / "file").symlink_to(tmp_path / "secret.txt")
        (space.root / "up").symlink_to("..")
        (space.root / "src/out").symlink_to(tmp_path / "out")
        (space.root / "chain").symlink_to("up")
        (space.root / "alias.py").symlink_to("src/a.py")
        (space.root / "magic").symlink_to("/proc/self/root")
        for written in (
            "file",
            "up/secret.txt",
            "src/out/new/x",
            "chain/out/x",
            "magic/etc/passwd",
        ):
            with pytest.raises(OutsideWorkspace):
                space.relative(written)
            with pytest.raises(OutsideWorkspace):
                space.read_bytes(written)
        assert space.relative("alias.py") == "src/a.py"

    def test_the_spelling_that_it_was_opened_by(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        space = Workspace.open(tmp_path / "link")
        assert space.relative(str(tmp_path / "link" / "a.py")) == "a.py"

    @given(st.text(max_size=30))
    def test_any_text_is_inside_or_refused(self, text: str) -> None:
        space = Workspace.open(Path(__file__).parent)
        try:
            rel = space.relative(text)
        except OutsideWorkspace:
            return
        assert (space.root / rel).resolve().is_relative_to(space.root)
        assert space.relative(rel) == rel

    def test_path_does_not_follow_the_last_link(self, space: Workspace, tmp_path: Path) -> None:
        (space.root / "out").symlink_to(tmp_path)
        assert space.path("out") == space.root / "out"
        assert space.path(".") == space.root
        with pytest.raises(OutsideWorkspace):
            space.path("out/x")
        with pytest.raises(OutsideWorkspace):
            space.path("../x")


class TestRead:
    def test_limit(self, space: Workspace) -> None:
        (space.root / "a").write_bytes(b"12345")
        assert space.read_bytes("a") == b"12345"
        assert space.read_bytes("a", limit=3) == b"123"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_not_a_file(self, space: Workspace) -> None:
        os.mkfifo(space.root / "pipe")
        (space.root / "d").mkdir()
        for name in ("pipe", "d", "none"):
            with pytest.raises(OSError):
                space.read_bytes(name)


RULES = {
    ".gitignore": "*.log\n/build/\n!keep.log\n!\nnode_modules\n",
    "sub/.gitignore": "!b.log\n/only.txt\n",
}
PRESENT = [
    *("a.py", "a.log", "keep.log", "build/x", "deep/build/x", "node_modules/m/i.js"),
    *("sub/b.log", "sub/c.log", "sub/only.txt", "sub/e/only.txt", ".env", "key.pem"),
    *(".env.example", "credentials.py", "credentials.json", ".github/ci.yml"),
]
LISTED = [
    *(".env.example", ".github/ci.yml", ".gitignore", "a.py", "credentials.py", "deep/build/x"),
    *("keep.log", "sub/.gitignore", "sub/b.log", "sub/e/only.txt"),
]


class TestFiles:
    def prepare(self, space: Workspace) -> None:
        fill(space.root, *PRESENT)
        for name, text in RULES.items():
            (space.root / name).write_text(text)

    def test_without_git(self, space: Workspace) -> None:
        self.prepare(space)
        assert space.files() == LISTED

    def test_with_git_the_same(self, repo: Workspace) -> None:
        self.prepare(repo)
        assert repo.files() == LISTED

    @pytest.mark.parametrize("with_git", [False, True])
    def test_ignored_agrees(self, space: Workspace, with_git: bool) -> None:
        self.prepare(space)
        if with_git:
            git(space.root, "init", "-q")
        for name in PRESENT:
            assert space.ignored(name) == (name not in LISTED), name
        assert space.ignored("not/there.log")
        assert not space.ignored("not/there.py")
        assert space.ignored(".git/config")
        assert not space.ignored(".")

    def test_tracked_files(self, repo: Workspace, tmp_path: Path) -> None:
        fill(repo.root, "gone.py", "kept.log", "dir/f.py", "new.py", "mod.py")
        (repo.root / ".gitignore").write_text("*.log\n")
        git(repo.root, "add", "-f", "gone.py", "kept.log", "dir", "mod.py")
        git(repo.root, "commit", "-q", "-m", "x")
        (repo.root / "gone.py").unlink()
        # a folder that became a link to the outside
        (repo.root / "dir").rename(tmp_path / "moved")
        (repo.root / "dir").symlink_to(tmp_path / "moved")
        (repo.root / "link.py").symlink_to("mod.py")
        assert repo.files() == [".gitignore", "kept.log", "mod.py", "new.py"]
        assert not repo.ignored("kept.log")

    def test_own_ignore_file(self, repo: Workspace) -> None:
        fill(repo.root, "a.py", "data/big.csv", "data/keep.csv")
        git(repo.root, "add", ".")
        (repo.root / ".localagentignore").write_text("data/*\n!data/keep.csv\n")
        assert repo.files() == [".localagentignore", "a.py", "data/keep.csv"]
        assert repo.ignored("data/big.csv")

    @pytest.mark.parametrize("with_git", [False, True])
    def test_virtual_environments_are_left_out(self, space: Workspace, with_git: bool) -> None:
        if with_git:
            git(space.root, "init", "-q")
        inside = (".venv/pyvenv.cfg", ".venv/bin/pip", ".venv/lib/x.py")
        fill(space.root, "a.py", "data/pyvenv.cfg", *inside)
        assert space.files() == ["a.py", "data/pyvenv.cfg"]
        assert [space.ignored(name) for name in ("a.py", "data", ".venv", inside[2])] == [
            *(False, False, True, True)
        ]
        assert space.ignored_among(["a.py", *inside]) == set(inside)

    def test_subfolder_of_a_repository(self, repo: Workspace) -> None:
        fill(repo.root, "top.py", "sub/a.py", "sub/a.log")
        (repo.root / ".gitignore").write_text("*.log\n")
        assert Workspace.open(repo.root / "sub").files() == ["a.py"]

    def test_folder_that_an_outer_repository_ignores(self, repo: Workspace) -> None:
        fill(repo.root, "scratch/a.py", "scratch/b/c.py")
        (repo.root / ".gitignore").write_text("scratch/\n")
        inner = Workspace.open(repo.root / "scratch")
        assert inner.files() == ["a.py", "b/c.py"]
        assert not inner.ignored("a.py")

    def test_repository_inside(self, repo: Workspace) -> None:
        fill(repo.root, "a.py", "inner/b.py", "inner/b.log")
        (repo.root / "inner/.gitignore").write_text("*.log\n")
        git(repo.root / "inner", "init", "-q")
        assert repo.files() == ["a.py", "inner/.gitignore", "inner/b.py"]

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
    @pytest.mark.parametrize("with_git", [False, True])
    def test_names(self, space: Workspace, with_git: bool) -> None:
        if with_git:
            git(space.root, "init", "-q")
        odd = ["caf\udce9.py", " lead.py", "line\nbreak.py", "trail ", "~tilde", "ü.py"]
        fill(space.root, *odd)
        assert space.files() == sorted(odd)
        for name in odd:
            assert space.relative(name) == name
            assert space.read_bytes(name)

    def test_a_hostile_repository_starts_nothing(self, repo: Workspace, tmp_path: Path) -> None:
        fill(repo.root, "a.py")
        marker = tmp_path / "ran"
        program = tmp_path / "evil"
        program.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
        program.chmod(0o755)
        git(repo.root, "config", "core.fsmonitor", str(program))
        git(repo.root, "config", "core.hooksPath", str(tmp_path))
        assert repo.files() == ["a.py"]
        assert not marker.exists()

    def test_the_environment_does_not_lead_elsewhere(
        self, repo: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(repo.root, "a.py")
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "-q")
        monkeypatch.setenv("GIT_DIR", str(other / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(other))
        assert repo.files() == ["a.py"]

    def test_a_broken_repository_is_walked(self, space: Workspace) -> None:
        fill(space.root, "a.py")
        (space.root / ".git").write_text("gitdir: nowhere\n")
        assert space.files() == ["a.py"]

    @pytest.mark.parametrize("with_git", [False, True])
    def test_many_files(self, space: Workspace, with_git: bool) -> None:
        if with_git:
            git(space.root, "init", "-q")
        for folder in range(20):
            fill(space.root, *(f"d{folder}/f{n}.py" for n in range(100)))
        assert len(space.files()) == 2000
