"""`localagent init` in processes of its own: shown, written, agreed to, and never over a file
without a yes."""

from __future__ import annotations

import sys
from pathlib import Path

from command_line import run_in
from terminal import at_terminal

OWN = "# Ours\n\nNever touch gen/.\n"


def test_it_shows_and_writes_and_is_agreed_to(workspace_dir: Path) -> None:
    printed = run_in(workspace_dir, "init", "--print")
    assert not (workspace_dir / "AGENTS.md").exists()
    done = run_in(workspace_dir, "init")
    assert (done.returncode, done.stdout) == (0, printed.stdout)
    assert "wrote AGENTS.md" in done.stderr
    written = (workspace_dir / "AGENTS.md").read_text()
    assert written == done.stdout
    assert "- test: `python -m pytest -q`" in written
    assert run_in(workspace_dir, "trust", "list").stdout.startswith("agreed  rules")
    assert "already has this text" in run_in(workspace_dir, "init").stdout
    assert [p.name for p in workspace_dir.glob(".AGENTS*")] == []


def test_a_file_that_is_there_is_not_overwritten_without_a_yes(workspace_dir: Path) -> None:
    path = workspace_dir / "AGENTS.md"
    path.write_text(OWN)
    done = run_in(workspace_dir, "init")
    assert done.returncode == 3
    assert "-Never touch gen/." in done.stdout
    assert "no user can answer" in done.stderr
    assert path.read_text() == OWN
    command = [sys.executable, "-m", "localagent", "init"]
    with at_terminal(command, workspace_dir) as terminal:
        terminal.until("change AGENTS.md? [y/N]")
        terminal.type("\n")
        assert terminal.rest() == 0
    assert path.read_text() == OWN
    with at_terminal(command, workspace_dir) as terminal:
        terminal.until("change AGENTS.md? [y/N]")
        terminal.type("y\n")
        assert terminal.rest() == 0
    assert "python -m pytest -q" in path.read_text()
    path.write_text(OWN)
    assert run_in(workspace_dir, "init", "--yes").returncode == 0
    assert path.read_text() != OWN


def test_it_writes_through_no_link_and_says_what_cannot_be_written(
    workspace_dir: Path, tmp_path: Path
) -> None:
    target = tmp_path / "elsewhere.md"
    target.write_text("mine\n")
    path = workspace_dir / "AGENTS.md"
    path.symlink_to(target)
    done = run_in(workspace_dir, "init", "--yes")
    assert (done.returncode, target.read_text()) == (2, "mine\n")
    assert "is a link" in done.stderr
    path.unlink()
    path.mkdir()
    done = run_in(workspace_dir, "init", "--yes")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
