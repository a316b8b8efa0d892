"""Files that other programs run later reach the workspace only if the user agrees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHANGE = """mkdir -p .vscode; echo '{}' > .vscode/tasks.json; echo 'all: ; evil' > Makefile
echo text > notes.txt"""

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are Linux's"),
]


def run(folder: Path, command: str, *words: str, user: str = "") -> list[dict[str, Any]]:
    """The events of a run in which the model calls the shell tool once."""
    script = folder.parent / "replies.txt"
    script.write_text(f"--- reply\n```shell\n{command}\n```\n--- reply\n```done\nended\n```\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "localagent", "run", "change it", "--planner", "react"),
            *("--scripted", str(script), "--json", "-C", str(folder), *words),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        input="",
        timeout=300,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events, done.stderr
    return events


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def audit(home: Path) -> list[dict[str, Any]]:
    folder = home / ".local/share/localagent/audit"
    (log,) = (path for path in folder.glob("*.jsonl") if path.name != "head.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_nobody_agrees_in_a_headless_run(workspace_dir: Path, home: Path) -> None:
    events = run(workspace_dir, CHANGE, "--mode", "auto")
    (question,) = of(events, "question")
    assert question["subject"] == ".vscode/tasks.json, Makefile"
    assert "evil" in question["preview"]
    decision = next(each for each in of(events, "decision") if each["tool"] == "handoff")
    assert (decision["allowed"], decision["by"]) == (False, "nobody")
    (result,) = of(events, "tool_returned")
    assert (
        "not kept, as the user did not agree: .vscode/tasks.json, Makefile" in (result["for_model"])
    )
    assert (workspace_dir / "notes.txt").read_text() == "text\n"
    assert not (workspace_dir / "Makefile").exists()
    assert not (workspace_dir / ".vscode/tasks.json").exists()
    logged = [each for each in audit(home) if each.get("subject") == question["subject"]]
    assert [each["type"] for each in logged] == ["decision"], audit(home)


@pytest.mark.parametrize("words", [("--mode", "auto", "--yes"), ("--yes",)])
def test_yes_was_given_before(words: tuple[str, ...], workspace_dir: Path, home: Path) -> None:
    events = run(workspace_dir, CHANGE, *words)
    assert of(events, "question") == []
    (result,) = of(events, "tool_returned")
    assert "other programs run or obey these later" in result["for_model"]
    assert (workspace_dir / "Makefile").exists()


def test_a_rule_of_the_user_allows_it(workspace_dir: Path, home: Path) -> None:
    settings = home / ".config/localagent/config.toml"
    settings.parent.mkdir(parents=True)
    rules = [f'tool = "{tool}"\nmatch = "Makefile"\naction = "allow"\n' for tool in ("*",)]
    settings.write_text("".join(f"[[permissions]]\n{rule}" for rule in rules))
    events = run(workspace_dir, CHANGE, "--mode", "auto")
    (question,) = of(events, "question")
    assert question["subject"] == ".vscode/tasks.json"
    assert (workspace_dir / "Makefile").exists()


def test_a_commit_with_such_a_file_is_not_taken_over(workspace_dir: Path, home: Path) -> None:
    """Also where the command puts the file back, so that the commit alone has it."""
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=workspace_dir, check=True)
    before = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=workspace_dir, capture_output=True, check=True
    ).stdout
    line = "echo 'all: ; evil' > Makefile; git add -A; git commit -qm next; rm Makefile"
    for command in (line.removesuffix("; rm Makefile"), line):
        events = run(workspace_dir, command, "--mode", "auto")
        (result,) = of(events, "tool_returned")
        assert "git refused: no tool may change Makefile" in result["for_model"]
        after = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=workspace_dir, capture_output=True, check=True
        ).stdout
        assert after == before


def test_links_and_git_s_hooks_are_asked_about(workspace_dir: Path, home: Path) -> None:
    """Names alone do not show that a build, or git, reads these files."""
    (workspace_dir / "tools/hooks").mkdir(parents=True)
    (workspace_dir / "rules.txt").write_text("all:\n")
    (workspace_dir / "Makefile").symlink_to("rules.txt")
    for words in (("init", "-q"), ("config", "core.hooksPath", "tools/hooks")):
        subprocess.run(["git", *words], cwd=workspace_dir, check=True)
    command = """echo evil > rules.txt; echo evil > tools/hooks/pre-commit; echo x > tools/other
mkdir evil; ln -s evil .venv; ln -s evil/deep node_modules"""
    events = run(workspace_dir, command, "--mode", "auto")
    (question,) = of(events, "question")
    asked = {".venv", "node_modules", "rules.txt", "tools/hooks/pre-commit"}
    assert set(question["subject"].split(", ")) == asked
    assert ".venv becomes a link to evil\n" in question["preview"]
    kept = {path.name for path in (workspace_dir / "tools").rglob("*")}
    assert kept == {"hooks", "other"}
    assert (workspace_dir / "rules.txt").read_text() == "all:\n"
    assert not (workspace_dir / ".venv").is_symlink()


def test_a_question_about_many_files_names_the_others(workspace_dir: Path, home: Path) -> None:
    command = "mkdir .vscode; cd .vscode; for n in $(seq 10 29); do echo $n > file$n; done"
    (question,) = of(run(workspace_dir, command, "--mode", "auto"), "question")
    assert question["subject"].endswith("and 8 more")
    assert "+21\n" in question["preview"] and "+22\n" not in question["preview"]
    assert "8 more files change: .vscode/file22, .vscode/file23, " in question["preview"]


def test_places_of_secrets_are_not_made_in_a_home(home: Path) -> None:
    """With the home as the workspace, a folder that does not exist yet is protected too."""
    command = "mkdir -p .config/autostart .gnupg; echo x > .config/autostart/x.desktop"
    command += "; echo x > .gnupg/gpg.conf; echo x > .netrc; echo x > notes"
    folder = home / "a"
    folder.mkdir()
    (result,) = of(run(folder, command, "-C", str(home), "--yes"), "tool_returned")
    assert result["ok"]
    for name in (".config/autostart", ".gnupg", ".netrc"):
        assert name in result["for_model"] and not (home / name).exists()
    assert (home / "notes").exists()


def test_what_is_refused_is_not_asked_about(workspace_dir: Path, home: Path) -> None:
    """An agreement would change nothing."""
    (workspace_dir / "src/bin").mkdir(parents=True)
    (workspace_dir / "id_rsa").symlink_to("src")
    command = "rm id_rsa; mkdir id_rsa; echo x > id_rsa/Makefile; mkdir a.git; cd a.git\n"
    command += "mkdir objects refs; echo x > HEAD; echo x > Makefile"
    events = run(workspace_dir, command, "--mode", "auto")
    assert not of(events, "question")
    (result,) = of(events, "tool_returned")
    assert "no tool may change it: id_rsa, id_rsa/Makefile" in result["for_model"]
    assert "git's own files were not kept: a.git/" in result["for_model"]
