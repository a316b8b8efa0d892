"""Snapshots of a workspace: what commands see in them, and what they change."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_fixtures import OVERLAY_AND_COPIES

from localagent.core.changes import Change, deletion, file_change
from localagent.sandbox.base import Command, Sandbox

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.name != "posix", reason="the commands are those of a POSIX shell"),
]
PYTHON = shlex.quote(sys.executable)


@pytest.fixture(params=OVERLAY_AND_COPIES)
def sandbox(request: pytest.FixtureRequest, shared_sandboxes: Callable[[str], Sandbox]) -> Sandbox:
    return shared_sandboxes(request.param)


def test_commands_see_the_files_and_nobody_sees_theirs(
    sandbox: Sandbox, project: Path, untouched: None
) -> None:
    line = "cat a.txt src/b.py link; ./run.sh; echo new > src/new; rm a.txt; chmod 600 run.sh"
    with sandbox.open(project) as snapshot:
        assert snapshot.run(Command(line)).output == "a\nb = 1\na\nran\n"
        assert (
            snapshot.run(Command("cat src/new; ls")).output == "new\ndangling\nlink\nrun.sh\nsrc\n"
        )
        assert snapshot.changes() == (
            deletion("a.txt"),
            Change("run.sh", "file", b"#!/bin/sh\necho ran\n", 0o600),
            Change("src/new", "file", b"new\n", 0o644),
        )
    with sandbox.open(project) as snapshot:
        assert snapshot.changes() == ()


def test_puts_are_seen_and_are_changes(sandbox: Sandbox, project: Path, untouched: None) -> None:
    first = [file_change("a.txt", b"A\n"), file_change("x/y/z", b"\0\xff", 0o755)]
    with sandbox.open(project, first) as snapshot:
        snapshot.apply([deletion("src"), Change("link", "symlink", b"x/y"), Change("e", "dir")])
        assert snapshot.run(Command("cat a.txt; ls link/ e; ls src")).output.startswith("A\ne:\n")
        found = {change.path: change for change in snapshot.changes()}
    assert found["a.txt"] == Change("a.txt", "file", b"A\n", 0o644)
    assert found["x/y/z"] == Change("x/y/z", "file", b"\0\xff", 0o755)
    assert found["link"] == Change("link", "symlink", b"x/y")
    assert found["e"].kind == "dir"
    gone = {path for path, change in found.items() if change.kind == "absent"}
    assert gone == {"src", "src/b.py", "src/deep", "src/deep/c"}


def test_changes_without_a_command(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project, [file_change("n", b"1")]) as snapshot:
        assert [change.path for change in snapshot.changes()] == ["n"]


def test_touching_is_no_change(sandbox: Sandbox, project: Path) -> None:
    line = "touch a.txt; chmod 600 src/b.py; chmod 644 src/b.py; cp -p run.sh r; mv r run.sh"
    with sandbox.open(project) as snapshot:
        snapshot.run(Command(line))
        assert snapshot.changes() == ()


def test_caches_are_no_changes(sandbox: Sandbox, project: Path) -> None:
    line = (
        "mkdir -p __pycache__ src/.pytest_cache node_modules/.cache node_modules/x; "
        "touch __pycache__/a src/.pytest_cache/b node_modules/.cache/c c.pyc node_modules/x/d"
    )
    with sandbox.open(project) as snapshot:
        snapshot.run(Command(line))
        paths = [change.path for change in snapshot.changes()]
    assert paths == ["node_modules", "node_modules/x", "node_modules/x/d"]


def test_kinds_that_become_other_kinds(sandbox: Sandbox, project: Path, untouched: None) -> None:
    line = "rm -r src && echo f > src; rm a.txt && mkdir -p a.txt/in; rm link && mkfifo link"
    with sandbox.open(project) as snapshot:
        snapshot.run(Command(line))
        kinds = {change.path: change.kind for change in snapshot.changes()}
    assert kinds["src"] == "file" and kinds["src/b.py"] == "absent"
    assert kinds["a.txt"] == "dir" and kinds["a.txt/in"] == "dir"
    assert kinds.get("link", "absent") == "absent"


def test_links_in_a_circle_are_changes_like_others(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        snapshot.run(Command("ln -s there here; ln -s here there; ln -s self src/self"))
        found = snapshot.changes()
    assert found == (
        Change("here", "symlink", b"there"),
        Change("src/self", "symlink", b"self"),
        Change("there", "symlink", b"here"),
    )


def test_files_that_the_command_locked_up(sandbox: Sandbox, project: Path) -> None:
    line = "echo x > secret; mkdir closed; echo y > closed/in; chmod 0 secret closed/in closed"
    with sandbox.open(project) as snapshot:
        snapshot.run(Command(line))
        found = {change.path: change for change in snapshot.changes()}
    assert found["secret"] == Change("secret", "file", b"x\n", 0)
    assert found["closed/in"] == Change("closed/in", "file", b"y\n", 0)


def test_a_new_folder_in_one_that_the_command_locked_up(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        snapshot.run(Command("mkdir closed; chmod 500 closed"))
        snapshot.apply([file_change("closed/new/in", b"y\n")])
        assert snapshot.run(Command("cat closed/new/in; stat -c %a closed")).output == "y\n500\n"


def test_an_edit_of_the_same_size_in_the_same_second_is_noticed_by_python(
    sandbox: Sandbox, project: Path
) -> None:
    subprocess.run([sys.executable, "-m", "compileall", "-q", "src"], cwd=project, check=True)
    with sandbox.open(project, [file_change("src/b.py", b"b = 2\n")]) as snapshot:
        snapshot.apply([file_change("src/b.py", b"b = 3\n")])
        line = f"cd src && {PYTHON} -c 'import b; print(b.b)'"
        assert snapshot.run(Command(line)).output == "3\n"


@pytest.mark.parametrize("name", ["with space", "ünï·códe", "a,b:c\\d", "quote'\"$(x)", "-dash"])
def test_workspaces_with_awkward_names(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    (root / "f").write_text("f")
    with sandbox.open(root) as snapshot:
        assert snapshot.run(Command('cat f; echo g > g; rm f; basename -- "$PWD"')).exit_code == 0
        assert snapshot.changes() == (deletion("f"), file_change("g", b"g\n", 0o644))


def test_awkward_names_inside(sandbox: Sandbox, tmp_path: Path) -> None:
    name = os.fsdecode(b"not\xffutf8\n")
    (tmp_path / name).write_bytes(b"1")
    with sandbox.open(tmp_path, [file_change("put\n" + name, b"2")]) as snapshot:
        snapshot.run(Command('for f in not*; do echo x >> "$f"; done'))
        assert {change.path for change in snapshot.changes()} == {name, "put\n" + name}


def test_a_symlinked_workspace(sandbox: Sandbox, project: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(project)
    with sandbox.open(tmp_path / "way") as snapshot:
        assert snapshot.run(Command("cat a.txt; echo z > z")).output == "a\n"
        assert [change.path for change in snapshot.changes()] == ["z"]


def test_a_read_only_workspace(sandbox: Sandbox, project: Path) -> None:
    folders = (project / "src", project, project.parent)
    for folder in folders:
        folder.chmod(0o555)
    try:
        with sandbox.open(project, [file_change("src/b.py", b"b = 5\n")]) as snapshot:
            assert "b = 5" in snapshot.run(Command("cat src/b.py; ls > listing")).output
            paths = [change.path for change in snapshot.changes()]
        assert paths == ["listing", "src/b.py"]
    finally:
        for folder in reversed(folders):
            folder.chmod(0o755)


def test_a_socket_that_a_program_listens_on_is_no_change(sandbox: Sandbox, project: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(project / "s.sock"))
        server.listen()
        with sandbox.open(project) as snapshot:
            assert snapshot.run(Command("echo ran")).output == "ran\n"
            assert snapshot.changes() == ()


def test_modes_of_new_files_follow_the_umask(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        snapshot.run(Command("umask 077; touch f; mkdir d; umask 022; touch x; chmod +x x"))
        modes = {change.path: change.mode for change in snapshot.changes()}
    assert modes == {"f": 0o600, "d": 0o700, "x": 0o755}
    assert stat.S_IMODE((project / "a.txt").stat().st_mode) == 0o644
