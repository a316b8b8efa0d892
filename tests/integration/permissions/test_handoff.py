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
