"""`localagent commands` and `localagent run --command`, in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run_in

REPLIES = "--- reply\nIt adds.\n"


@pytest.fixture
def folder(home: Path) -> Path:
    found = home / ".config" / "localagent" / "commands"
    found.mkdir(parents=True)
    (found / "explain.md").write_text(
        "---\ndescription: Explain a file\nmode: plan\narguments: FILE\n---\n"
        "What does $1 do? Keep it to ${2:-one} sentence.\n"
    )
    return found


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    path = tmp_path / "replies.txt"
    path.write_text(REPLIES)
    return path


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_list_and_show(workspace_dir: Path, folder: Path) -> None:
    listed = run_in(workspace_dir, "commands", "list")
    assert listed.stdout == "explain FILE  plan  yours  Explain a file\n"
    shown = run_in(workspace_dir, "commands", "show", "explain", "calc.py")
    assert shown.stdout == "What does calc.py do? Keep it to one sentence.\n"
    assert "explain.md (mode plan)" in shown.stderr
    missing = run_in(workspace_dir, "commands", "show", "explain")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "hint: arguments: FILE" in missing.stderr


def test_a_run_of_one(workspace_dir: Path, folder: Path, scripted: Path) -> None:
    run = ("run", "--scripted", str(scripted), "--planner", "react", "--json", "--command")
    done = run_in(workspace_dir, *run, "explain", "calc.py")
    seen = events(done.stdout)
    assert done.returncode == 0, done.stderr
    (started,) = [e for e in seen if e["type"] == "turn_started"]
    assert started["prompt"] == "What does calc.py do? Keep it to one sentence."
    assert [e["mode"] for e in seen if e["type"] == "mode_changed"] == ["plan"]
    done = run_in(workspace_dir, *run, "explain", "--mode", "ask", "-", given="calc_test.py two\n")
    seen = events(done.stdout)
    (started,) = [e for e in seen if e["type"] == "turn_started"]
    assert started["prompt"] == "What does calc_test.py do? Keep it to two sentence."
    assert [e for e in seen if e["type"] == "mode_changed"] == []


def test_a_projects_is_carried_out_only_after_a_yes(
    workspace_dir: Path, folder: Path, scripted: Path
) -> None:
    theirs = workspace_dir / ".localagent" / "commands"
    theirs.mkdir(parents=True)
    (theirs / "go.md").write_text("---\nmode: auto\n---\nWhat does calc.py do?\n")
    run = ("run", "--scripted", str(scripted), "--planner", "react", "--json", "--command", "go")
    done = run_in(workspace_dir, *run)
    assert done.returncode == 2
    assert "hint: localagent trust add .localagent/commands/go.md" in done.stderr
    added = run_in(workspace_dir, "trust", "add", ".localagent/commands/go.md", "--yes")
    assert added.returncode == 0
    done = run_in(workspace_dir, *run)
    assert done.returncode == 0, done.stderr
    # It may be stricter than the session, not freer.
    assert [e for e in events(done.stdout) if e["type"] == "mode_changed"] == []


def test_a_task_of_several_words_is_to_be_quoted(workspace_dir: Path) -> None:
    done = run_in(workspace_dir, "run", "fix", "it's", "test")
    assert done.returncode == 2
    assert "hint: quote it: localagent run 'fix it'\"'\"'s test'" in done.stderr
