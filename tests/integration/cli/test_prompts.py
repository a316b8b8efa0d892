"""`localagent prompts`, and what a session does with texts of the user's and a project's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_in

from localagent.context.prompts import SHIPPED, shipped_names

ANSWER = "workflow/answer"


@pytest.fixture
def folder(home: Path) -> Path:
    return home / ".config" / "localagent" / "prompts"


def run(workspace: Path, tmp_path: Path, *words: str) -> tuple[int, list[dict[str, object]], str]:
    replies = tmp_path / "replies.txt"
    replies.write_text("--- reply repeat = true\nIt adds.\n")
    task = ("run", "--json", "--scripted", str(replies), "--planner", "workflow", *words)
    done = run_in(workspace, *task, "what does calc.py do?")
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def exported(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localagent", "prompts", "export", *words]
    return subprocess.run(command, cwd=cwd, input="", stderr=subprocess.PIPE, text=True, timeout=60)


def export(cwd: Path, *words: str) -> int:
    return exported(cwd, *words).returncode


def test_every_text_is_listed_shown_and_exported(workspace_dir: Path, tmp_path: Path) -> None:
    listed = run_in(workspace_dir, "prompts", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == shipped_names()
    for name in shipped_names()[:3]:
        shown = run_in(workspace_dir, "prompts", "show", name)
        assert shown.stdout == (SHIPPED / f"{name}.md").read_text()
    assert export(workspace_dir, "--all", "--to", str(tmp_path / "x")) == 0
    for name in shipped_names():
        assert (tmp_path / "x" / f"{name}.md").read_bytes() == (SHIPPED / f"{name}.md").read_bytes()


@pytest.mark.parametrize("place", [".localagent", ".localagent/prompts/workflow", "file"])
def test_no_text_is_exported_through_a_link(
    workspace_dir: Path, tmp_path: Path, place: str
) -> None:
    """A repository may have a link in the place of a folder or a file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = workspace_dir / ".localagent/prompts" / f"{ANSWER}.md"
    link = path if place == "file" else workspace_dir / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(elsewhere / "missing.md" if place == "file" else elsewhere)
    for to in (".localagent/prompts", str(workspace_dir / ".localagent/prompts")):
        done = exported(workspace_dir, "--yes", ANSWER, "--to", to)
        assert done.returncode == 2 and "a part of its path is a link" in done.stderr
    assert list(elsewhere.iterdir()) == []


def test_the_folder_of_settings_may_be_a_link(
    workspace_dir: Path, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "dotfiles").mkdir()
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "dotfiles")
    assert export(workspace_dir, ANSWER) == 0
    assert (tmp_path / "dotfiles" / f"{ANSWER}.md").is_file()


def test_the_users_text_is_used_and_not_written_over(
    workspace_dir: Path, tmp_path: Path, folder: Path
) -> None:
    assert export(workspace_dir, ANSWER) == 0
    path = folder / f"{ANSWER}.md"
    assert path.read_bytes() == (SHIPPED / f"{ANSWER}.md").read_bytes()
    path.write_text("Answer as a pirate. {{question}}\n")
    assert export(workspace_dir, ANSWER) == 3
    assert path.read_text().startswith("Answer as a pirate")
    (line,) = [
        line
        for line in run_in(workspace_dir, "prompts", "list").stdout.splitlines()
        if line.startswith(f"{ANSWER} ")
    ]
    assert line.split() == [ANSWER, "yours", "{{question}}"]
    shown = run_in(workspace_dir, "prompts", "show", ANSWER)
    assert (shown.stdout, str(path) in shown.stderr) == ("Answer as a pirate. {{question}}\n", True)
    shown = run_in(workspace_dir, "prompts", "show", "--shipped", ANSWER)
    assert shown.stdout == (SHIPPED / f"{ANSWER}.md").read_text()
    code, events, _ = run(workspace_dir, tmp_path)
    assert code == 0
    asked = [e for e in events if e["type"] == "model_asked"]
    assert "Answer as a pirate. what does calc.py do?" in json.dumps(asked)


def test_a_broken_text_ends_a_session_before_it_begins(
    workspace_dir: Path, tmp_path: Path, folder: Path
) -> None:
    path = folder / f"{ANSWER}.md"
    path.parent.mkdir(parents=True)
    path.write_text("{{queston}}")
    code, events, errors = run(workspace_dir, tmp_path)
    assert code == 2
    assert f"{path} uses {{{{queston}}}}, an unknown placeholder" in errors
    assert "hint: it can use: question" in errors
    assert [e["type"] for e in events] == ["failed"]
    path.write_text("Answer.")
    code, events, _ = run(workspace_dir, tmp_path)
    told = [str(e["text"]) for e in events if e["type"] == "warned"]
    assert code == 0
    assert [t for t in told if "does not use {{question}}" in t] != []
    done = run_in(workspace_dir, "prompts", "show", "workflow/anser")
    assert (done.returncode, "did you mean workflow/answer?" in done.stderr) == (2, True)


def test_a_projects_text_is_used_after_a_yes(workspace_dir: Path, tmp_path: Path) -> None:
    path = f".localagent/prompts/{ANSWER}.md"
    (workspace_dir / path).parent.mkdir(parents=True)
    (workspace_dir / path).write_text("Theirs: {{question}}")
    _, events, _ = run(workspace_dir, tmp_path)
    assert "Theirs:" not in json.dumps(events)
    assert run_in(workspace_dir, "trust", "add", path, "--yes").returncode == 0
    _, events, _ = run(workspace_dir, tmp_path)
    assert "Theirs: what does calc.py do?" in json.dumps(events)
    assert run_in(workspace_dir, "prompts", "show", ANSWER).stdout == "Theirs: {{question}}\n"
