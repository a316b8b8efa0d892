"""`localagent review` on a repository: linters of both sides in the sandbox, and the model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.doubles.command_line import run_in
from tests.doubles.project_python import project_bin

# Says about each line with "bad" what ruff would say about a name that is not defined.
RUFF = (
    '#!/bin/sh\nshift 3\ngrep -Hn bad "$@" | sed "s/:[^:]*$/:1: F821 Undefined name \\`bad\\`/"\n'
)
OLD = "def f():\n    return bad\n\n\n\n\n\n\n\n\n\n\n\n\n\ndef g():\n    return 1\n"
NEW = OLD.replace("return 1", "return bad").replace("def f", "# moved\ndef f")


def test_only_new_findings_on_added_lines_count(tmp_path: Path) -> None:
    for words in (["init", "-q"], ["config", "core.excludesFile", "/dev/null"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    (tmp_path / ".gitignore").write_text(".venv\n")
    (tmp_path / "m.py").write_text(OLD)
    for words in (["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/pyvenv.cfg").touch()
    (tmp_path / ".venv/bin/python").symlink_to(project_bin() / "python")
    (tmp_path / ".venv/bin/ruff").write_text(RUFF)
    (tmp_path / ".venv/bin/ruff").chmod(0o755)
    (tmp_path / "m.py").write_text(NEW)
    replies = tmp_path.parent / "replies.txt"
    replies.write_text(
        '--- reply when = "moved"\nno\n--- reply\nyes\n--- reply\n18: g fails.\n--- reply\nyes'
    )
    done = run_in(tmp_path, "review", "--ask", "--json", "--scripted", str(replies))
    assert done.returncode == 1, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(f["rule"], f["level"], f["line"], f["confidence"]) for f in found] == [
        ("ruff F821", "error", 18, "high"),
        ("review", "warning", 18, "low"),
    ]
