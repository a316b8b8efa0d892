"""`localagent ci` as the job of an example runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.unit.cli.test_ci_examples import command


def test_a_report_is_not_written_through_a_link(workspace_dir: Path, tmp_path: Path) -> None:
    """The repository may have the link, or a command of the task may make it."""
    start_file, script = tmp_path / "bashrc", tmp_path / "replies.txt"
    start_file.write_text("mine\n")
    (workspace_dir / "out").symlink_to(tmp_path)
    (workspace_dir / "fix.patch").symlink_to(start_file)
    script.write_text(
        "--- reply\n```shell\nln -s ../bashrc junit.xml\n```\n--- reply\n```done\n```\n"
    )
    options = ["--check", "true", "--yes", "--planner", "react", "--scripted", str(script)]
    reports = ["--patch", "fix.patch", "--junit", "junit.xml", "--sarif", "out/bashrc"]
    reports += ["--code-quality", "quality.json"]
    done = subprocess.run(
        [sys.executable, "-m", "localagent", "ci", "tidy up", *options, *reports],
        cwd=workspace_dir,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert start_file.read_text() == "mine\n"
    assert (workspace_dir / "junit.xml").is_symlink(), done.stdout
    assert done.returncode == 2
    assert "cannot write fix.patch: a part of its path is a link" in done.stderr
    assert "junit.xml" in (workspace_dir / "quality.json").read_text()


def test_the_job_of_an_example_leaves_its_reports(workspace_dir: Path, tmp_path: Path) -> None:
    """GitHub's example, with a scripted model, and rules of the checkout that nobody asks about."""
    (workspace_dir / "AGENTS.md").write_text("Say yes.\n")
    (workspace_dir / "reports").mkdir()
    script = tmp_path / "replies.txt"
    script.write_text("--- reply repeat = true\nno idea\n")
    words = [*command("github.yml")[1:], "--check", "false", "--max-seconds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "localagent", *words, "--scripted", str(script)],
        cwd=workspace_dir,
        env={**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "s.md")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (1, 5), done.stderr
    assert "\x1b" not in done.stdout
    assert "::group::localagent at work" in done.stdout
    assert "project_files is never" in done.stdout
    reports = workspace_dir / "reports"
    suite = ElementTree.parse(reports / "junit.xml").getroot()[0]
    assert suite.get("failures") == suite.get("tests") == "2"
    (run,) = json.loads((reports / "localagent.sarif").read_text())["runs"]
    assert run["results"][0]["ruleId"] == "outcome"
    assert (reports / "fix.patch").read_text() == ""
    assert (tmp_path / "s.md").read_text().startswith("## ❌ localagent: ")
