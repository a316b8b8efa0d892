"""A session line by line: from a pipe, and on a terminal that cannot be drawn over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = '--- reply to = "chat", repeat = true\nThe function adds.\n'


def hold(folder: Path, entered: str, *words: str) -> subprocess.CompletedProcess[str]:
    replies = folder.parent / "replies.txt"
    replies.write_text(SCRIPT, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "localagent", "--scripted", str(replies), *words],
        cwd=folder,
        input=entered,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_each_line_of_a_pipe_is_a_turn(workspace_dir: Path) -> None:
    done = hold(workspace_dir, "what does add do?\n\nand who calls add?\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The function adds.") == 2
    assert "\x1b" not in done.stdout


def test_a_command_that_does_not_exist_is_told(workspace_dir: Path) -> None:
    done = hold(workspace_dir, "/hlep\n")
    assert done.returncode == 2
    assert "did you mean /help?" in done.stdout


def test_without_any_input_there_is_help(workspace_dir: Path) -> None:
    done = hold(workspace_dir, "")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: localagent")


def test_options_of_the_session_before_a_command_are_refused(workspace_dir: Path) -> None:
    done = hold(workspace_dir, "", "sessions", "list")
    assert done.returncode == 2
    assert "put --scripted after the command" in done.stderr
