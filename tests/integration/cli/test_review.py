"""`localagent review` on a repository: linters of both sides in the sandbox, and the model."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.doubles.command_line import run_in
from tests.doubles.project_python import project_bin

# Says about each line with "bad" what ruff would say about a name that is not defined.
RUFF = (
    '#!/bin/sh\nshift 3\ngrep -Hn bad "$@" | sed "s/:[^:]*$/:1: F821 Undefined name \\`bad\\`/"\n'
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
