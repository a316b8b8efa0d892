"""A repository whose settings name programs for all that git can start: asking git starts none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.cli import commit_message
from localagent.core.errors import UsageError
from localagent.workspace.git import adopt, confine, run
from localagent.workspace.git.branch import clean_head, make_commit
from localagent.workspace.git.commit import StagedFile, staged_diff, staged_files
from localagent.workspace.git.confine import can_confine
from localagent.workspace.git.ranges import parse_range, range_diff
from localagent.workspace.workspace import Workspace

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")

PROGRAMS = (
    *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass"),
    *("core.gitProxy", "core.alternateRefsCommand", "sequence.editor", "credential.helper"),
    *("diff.external", "diff.evil.textconv", "diff.evil.command", "gpg.program"),
    *("gpg.ssh.program", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"),
    *("pager.diff", "remote.origin.uploadpack", "remote.origin.vcs"),
)
HOOKS = (
    *("pre-commit", "post-checkout", "post-index-change", "reference-transaction"),
    *("prepare-commit-msg", "fsmonitor-watchman", "pre-auto-gc", "post-rewrite"),
)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """What each of the repository's programs writes to."""
    return tmp_path / "started"


@pytest.fixture
def hostile(tmp_path: Path, marker: Path) -> Path:
    folder = tmp_path / "hostile"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "calc.py").write_text("a = 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    (folder / "calc.py").write_text("a = 2\n")
    (folder / ".gitattributes").write_text("*.py diff=evil filter=evil\n")
    git(folder, "add", ".")
    (folder / "calc.py").write_text("a = 3\n")
    program = folder / "program"
    program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> '{marker}'\n")
    program.chmod(0o755)
    hooks = folder / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        (hooks / name).write_bytes(program.read_bytes())
        (hooks / name).chmod(0o755)
    for key in PROGRAMS[:-1]:
        git(folder, "config", key, str(program))
    # A partial clone: what is missing is fetched from its remote, here a program.
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::{program}"),
        ("protocol.ext.allow", "always"),
    ):
        git(folder, "config", key, value)
    # Hooks of the settings (git 2.54), by names that a reader of settings could misread.
    for number, event in enumerate(HOOKS):
        name = ('evil "1"', "e.v.i.l", "e=vil", "Evil é")[number % 4]
        git(folder, "config", f"hook.{name}{number}.command", str(program))
        git(folder, "config", "--add", f"hook.{name}{number}.event", event)
    marker.unlink(missing_ok=True)
    return folder


def lose(folder: Path) -> None:
    """Take the committed content away, so that a diff needs it."""
    name = git(folder, "-c", "core.fsmonitor=false", "rev-parse", "HEAD:calc.py").strip()
    (folder / ".git/objects" / name[:2] / name[2:]).unlink()


def test_the_programs_are_started_by_git_itself(hostile: Path, marker: Path) -> None:
    for command in (["status"], ["diff", "--cached"]):
        marker.unlink(missing_ok=True)
        subprocess.run(["git", *command], cwd=hostile, capture_output=True)
        assert marker.exists(), command
    lose(hostile)
    marker.unlink()
    command = ["git", "-c", "core.fsmonitor=false", "cat-file", "-p", "HEAD:calc.py"]
    subprocess.run(command, cwd=hostile, capture_output=True)
    assert marker.exists(), "a missing object is fetched"


@pytest.mark.parametrize("landlock", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_localagent_starts_none(
    hostile: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, *, missing: bool, landlock: bool
) -> None:
    if not landlock:  # as on a Linux before 6.2
        monkeypatch.setattr(confine, "can_confine", lambda _git: False)
    if missing:
        lose(hostile)
        marker.unlink(missing_ok=True)
    assert "calc.py" in (run.list_files(hostile) or [])
    assert run.is_ignored(hostile, "calc.py") is False
    assert run.ignored_among(hostile, ["calc.py"]) == set()
    if missing:
        assert staged_diff(hostile, StagedFile("calc.py", "M", "", 1, 1)) == ""
        run.ask_git(hostile, "cat-file", "-p", "HEAD:calc.py")
    else:
        (file,) = [file for file in staged_files(hostile) if file.path == "calc.py"]
        assert staged_diff(hostile, file) == "@@ -1 +1 @@\n-a = 1\n+a = 2"
        os.utime(hostile / "calc.py", (1, 1))  # so that git reads the file again
        assert "+a = 3" in range_diff(hostile, parse_range(hostile, ""))
        assert clean_head(hostile) == ""
        head = git(hostile, "-c", "core.fsmonitor=false", "rev-parse", "HEAD").strip()
        (scratch := marker.parent / "scratch").mkdir()
        make_commit(hostile, head, {"calc.py": ("100644", b"a = 4\n")}, "next", scratch)
    assert adopt.snapshot(hostile) is not None
    assert adopt.environment(hostile)["GIT_CONFIG_COUNT"]
    with pytest.raises(UsageError, match="a hook exists already"):
        commit_message.install(hostile)
    assert not marker.exists(), marker.read_text()


@pytest.mark.parametrize("included", [False, True])
def test_hooks_of_the_settings_are_switched_off_by_name(
    hostile: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, *, included: bool
) -> None:
    """Without Landlock, only the settings that localagent adds keep git from these hooks."""
    monkeypatch.setattr(confine, "can_confine", lambda _git: False)
    shutil.rmtree(hostile / ".git/hooks")
    plain = ("-c", "core.fsmonitor=false")
    if included:
        config = hostile / ".git/config"
        config.rename(hostile / ".git/more")
        config.write_text("[include]\npath = more\n")
    head = git(hostile, *plain, "rev-parse", "HEAD").strip()
    variables = run._without_programs(hostile)
    environment = {**os.environ, **variables}
    listing = subprocess.run(
        ["git", "config", "--list", "-z"], cwd=hostile, env=environment, capture_output=True
    )
    rows = [row.partition("\n") for row in os.fsdecode(listing.stdout).split("\0")]
    values = {key: value for key, _, value in rows}  # the last value of a key counts
    names = {key.rpartition(".")[0] for key in values if key.startswith("hook.")}
    assert len(names) == len(HOOKS)
    for name in names:
        assert values[f"{name}.enabled"] == values[f"{name}.command"] == "false"
        assert values[f"{name}.event"] == ""
    entry = f"0 {'0' * 40}\tcalc.py\n".encode()
    for words, text in (
        (("update-ref", "refs/heads/more", head), b""),
        (("update-index", "--index-info"), entry),
    ):
        done = run.ask_git(hostile, *words, text=text, writable=[hostile / ".git"])
        assert done is not None and done.returncode == 0, done
    assert not marker.exists(), marker.read_text()
    # The control: a git that knows such hooks starts them.
    subprocess.run(["git", *plain, "update-ref", "-d", "refs/heads/more"], cwd=hostile)
    hooks = ["git", "hook", "list", "reference-transaction"]
    knows = subprocess.run(hooks, cwd=hostile, capture_output=True).returncode == 0
    assert marker.exists() == knows


@pytest.mark.parametrize("landlock", [False, True])
def test_a_submodule_starts_no_program(
    hostile: Path, marker: Path, monkeypatch: pytest.MonkeyPatch, *, landlock: bool
) -> None:
    """With diff.submodule=diff, git runs in the submodule, by the submodule's settings."""
    if not landlock:
        monkeypatch.setattr(confine, "can_confine", lambda _git: False)
    plain = marker.parent / "plain"
    plain.mkdir()
    git(plain, "init", "-q")
    sub = plain / "sub"
    git(plain, "init", "-q", "sub")
    for number in "12":
        (sub / "a.txt").write_text(number)
        git(sub, "add", ".")
        git(sub, "commit", "-qm", number)
        git(plain, "-c", "advice.addEmbeddedRepo=false", "add", "sub")
        if number == "1":
            git(plain, "commit", "-qm", "first")
    git(plain, "config", "diff.submodule", "diff")
    for key in ("diff.external", "core.fsmonitor", "diff.evil.textconv"):
        git(sub, "config", key, str(hostile / "program"))
    git(plain, "diff", "--cached")
    assert marker.exists(), "git itself starts the program"
    marker.unlink()
    assert "-Subproject commit" in range_diff(plain, parse_range(plain, ""))
    (file,) = staged_files(plain)
    assert "-Subproject commit" in staged_diff(plain, file)
    clean_head(plain)
    for words in (["log", "-p", "-1"], ["show"], ["diff", "HEAD"]):
        run.ask_git(plain, *words)
    assert not marker.exists(), marker.read_text()


def test_a_repository_by_another_name_is_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "a")
    done = run.ask_git(tmp_path / "a", "rev-parse", "--git-dir")
    assert done is not None and done.returncode


def test_a_git_that_hangs_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "lib").mkdir()
    os.mkfifo(tmp_path / "lib/.gitignore")
    (tmp_path / "lib/a.py").write_text("a = 1\n")
    monkeypatch.setattr(run, "_SECONDS", 1.0)
    start = time.monotonic()
    for _ in range(3):
        assert Workspace.open(tmp_path).files() == ["lib/a.py"]
    assert time.monotonic() - start < 2.5
    run._hanging.clear()
    assert run.ask_git(tmp_path, "status", "--porcelain", limit=100) is None
    assert time.monotonic() - start < 5
    run._hanging.clear()


@pytest.mark.parametrize("name", [".gitignore", ".git/HEAD", ".git/config", ".git/index"])
def test_a_pipe_that_git_reads_first_is_not_waited_for(tmp_path: Path, name: str) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    start = time.monotonic()
    assert Workspace.open(tmp_path).files() == ["a.py"]
    assert run.ask_git(tmp_path, "status") is None
    assert time.monotonic() - start < run._SECONDS / 2


def test_a_git_in_the_repository_is_not_used(
    hostile: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hostile / "git").write_bytes((hostile / "program").read_bytes())
    (hostile / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{hostile}{os.pathsep}{os.environ['PATH']}")
    assert "calc.py" in Workspace.open(hostile).files()  # by the system's git
    assert not marker.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
def test_git_starts_nothing_and_writes_nowhere_else(hostile: Path, marker: Path) -> None:
    """What future settings of git may do, done here by aliases and by the command line itself."""
    if not can_confine("/usr/bin/git"):
        pytest.skip("no Landlock here")
    run.ask_git(hostile, "-c", f"alias.evil=!touch {marker}", "evil")
    assert not marker.exists()
    outside, inside = marker.parent / "outside", hostile / ".git/inside"
    for file in (outside, inside):
        run.ask_git(hostile, "config", "--file", str(file), "a.b", "c", writable=[hostile / ".git"])
    assert inside.exists() and not outside.exists()
    run.ask_git(hostile, "config", "--file", str(hostile / ".git/more"), "a.b", "c")
    assert not (hostile / ".git/more").exists()
