"""`localagent review` on a repository: linters of both sides in the sandbox, and the model."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.command_line import run_in
from tests.doubles.project_python import project_bin

# Says about each line with "bad" what ruff would say about a name that is not defined.
RUFF = (
    '#!/bin/sh\nshift 3\ngrep -aHn bad "$@" | sed "s/:[^:]*$/:1: F821 Undefined name \\`bad\\`/"\n'
)
OLD = "def f():\n    return bad\n\n\n\n\n\n\n\n\n\n\n\n\n\ndef g():\n    return 1\n"
NEW = OLD.replace("return 1", "return bad").replace("def f", "# moved\ndef f")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "next")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit, and the linter above as its ruff."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "config", "core.excludesFile", "/dev/null")
    (folder / "pyproject.toml").write_text("[tool.ruff]\n")
    (folder / ".gitignore").write_text(".venv\n")
    (folder / "m.py").write_text(OLD)
    commit(folder)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/pyvenv.cfg").touch()
    (folder / ".venv/bin/python").symlink_to(project_bin() / "python")
    (folder / ".venv/bin/ruff").write_text(RUFF)
    (folder / ".venv/bin/ruff").chmod(0o755)
    return folder


def test_only_new_findings_on_added_lines_count(project: Path) -> None:
    (project / "m.py").write_text(NEW)
    replies = project.parent / "replies.txt"
    replies.write_text(
        '--- reply when = "moved"\nno\n--- reply\nyes\n--- reply\n18: g fails.\n--- reply\nyes'
    )
    done = run_in(project, "review", "--ask", "--json", "--scripted", str(replies))
    assert done.returncode == 1, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(f["rule"], f["level"], f["line"], f["confidence"]) for f in found] == [
        ("ruff F821", "error", 18, "high"),
        ("review", "warning", 18, "low"),
    ]


def test_a_link_in_the_place_of_a_file_is_not_followed(project: Path) -> None:
    (outside := project.parent / "outside.py").write_text("bad = 'a secret'\n")
    (project / "d").mkdir()
    (project / "d/outside.py").write_text("x = 1\n")
    commit(project)
    (project / "m.py").unlink()
    (project / "m.py").symlink_to(outside)
    (project / "d/outside.py").unlink()
    (project / "d").rmdir()
    (project / "d").symlink_to(project.parent)
    (project / "m2.py").write_text("x = bad\n")
    git(project, "add", "-N", ".")
    done = run_in(project, "review")
    assert done.stdout.splitlines()[0].startswith("m2.py:1: error"), done.stderr
    assert done.stdout.splitlines()[1] == "1 finding in 1 hunk"
    for path in ("d", "m.py"):
        assert f"not reviewed: '{path}' is a link" in done.stderr
    assert "secret" not in done.stdout + done.stderr
    assert done.returncode == 1


def test_settings_that_cannot_be_read_are_reported(project: Path) -> None:
    (project / "m.py").write_text(NEW)
    os.mkfifo(project / "tox.ini")
    (outside := project.parent / "outside.cfg").write_text("[ruff]\n")
    (project / "setup.cfg").symlink_to(outside)
    done = run_in(project, "review")
    assert "cannot read tox.ini: tox.ini is not a regular file" in done.stderr
    assert "cannot read setup.cfg: 'setup.cfg' is outside the workspace" in done.stderr


# A change that tries to hide its line: each gives the name of the file with the line.
def by_attributes(project: Path) -> str:
    (project / ".gitattributes").write_text("*.py -diff\n")
    (project / "m.py").write_text(f"{OLD}bad\n")
    return "m.py"


def by_a_zero_byte(project: Path) -> str:
    (project / "m.py").write_bytes(f"{OLD}bad\n#\0\n".encode())
    return "m.py"


def by_a_name(name: str) -> Callable[[Path], str]:
    def hide(project: Path) -> str:
        (project / name).write_text("bad\n")
        return name

    return hide


def by_the_users_settings(project: Path) -> str:
    for key, value in (
        *(("diff.noprefix", "true"), ("diff.mnemonicPrefix", "true"), ("color.ui", "always")),
        *(("diff.context", "0"), ("diff.suppressBlankEmpty", "true"), ("core.quotePath", "false")),
        *(("diff.renames", "false"), ("diff.interHunkContext", "90")),
    ):
        git(project, "config", key, value)
    (project / "\u00e9.py").write_text(OLD.replace("return 1", "return bad"))
    (project / "m.py").unlink()
    return "\u00e9.py"


@pytest.mark.parametrize(
    ("hide", "line"),
    [
        (by_attributes, 18),
        (by_a_zero_byte, 18),
        (by_a_name("\u00e9.py"), 1),
        (by_a_name("a b.py"), 1),
        (by_a_name("--exit-zero.py"), 1),
        (by_a_name('"q".py'), 1),
        (by_the_users_settings, 17),
    ],
)
def test_a_change_hides_no_line(project: Path, hide: Callable[[Path], str], line: int) -> None:
    name = hide(project)
    commit(project)
    done = run_in(project, "review", "HEAD~1..HEAD", "--json")
    found = [json.loads(each) for each in done.stdout.splitlines()]
    assert [(f["path"], f["line"], f["level"]) for f in found] == [(name, line, "error")], done
    assert done.returncode == 1


def test_a_file_that_cannot_be_reviewed_is_named(project: Path) -> None:
    for name in (b"a:b.py", b"a\nb.py", b"\xff.py"):
        Path(project, os.fsdecode(name)).write_text("bad\n")
    commit(project)
    done = run_in(project, "review", "HEAD~1..HEAD")
    for name in ("'a:b.py'", "'a\\nb.py'", "'\\udcff.py'"):
        text = f"not reviewed: {name} has a name that linters cannot report"
        assert text in done.stderr, done.stderr
