"""The benchmarks' own logic: what is counted, and how another agent is run and judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "scripts" / "benchmarks"


def ask(code: str) -> str:
    """What a program beside the benchmarks prints."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_summary_says_what_solved_how_many_and_when() -> None:
    rows = [
        {"solved": True, "how": "file 1", "seconds": 9.0},
        {"solved": True, "how": "file 1", "seconds": 29.0},
        {"solved": True, "how": "infill 14", "seconds": 200.0},
        {"solved": True, "how": "", "seconds": 2.0},
        {"solved": False, "how": "", "seconds": 300.4},
    ]
    said = ask(f"import exercises\nfor line in exercises.summary({rows!r}): print(line)")
    by, within = said.splitlines()
    assert by == "by: one greedy attempt 2, infill 1, nothing (its tests passed before) 1"
    assert within.startswith("within: 15 s 2, 30 s 3, 60 s 3,")
    assert within.endswith("240 s 4, 300 s 4, 600 s 4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with one exercise."""
    folder = tmp_path / "root" / "exercises" / "practice" / "double"
    (folder / ".meta").mkdir(parents=True)
    (folder / ".docs").mkdir()
    files = {"files": {"solution": ["double.py"], "test": ["double_test.py"]}}
    (folder / ".meta" / "config.json").write_text(json.dumps(files))
    (folder / ".docs" / "instructions.md").write_text("Double a number.")
    (folder / "double.py").write_text("def double(n):\n    pass\n")
    test = "from double import double\n\n\ndef test_it():\n    assert double(2) == 4\n"
    (folder / "double_test.py").write_text(test)
    return tmp_path / "root"


def compare(root: Path, *agents: str, server: str = "http://127.0.0.1:9/v1") -> str:
    command = [sys.executable, "-B", BENCHMARKS, "compare", "--root", root, "--only", "double"]
    command += ["--server", server, "--seconds", "20", "--out", root / "rows.jsonl"]
    for agent in agents:
        command += ["--agent", agent]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return ran.stdout + ran.stderr


GOOD = "good=sh -c 'printf \"def double(n):\\n    return 2 * n\\n\" > double.py'"
CHEAT = "cheat=sh -c 'echo > double_test.py'"


def test_agents_are_run_on_copies_and_judged_by_the_tests(root: Path) -> None:
    said = compare(root, GOOD, CHEAT, "none=no-such-agent {task}")
    assert "good: solved 1 of 1" in said
    assert "cheat: solved 0 of 1" in said
    assert "none is not installed" in said
    rows = [json.loads(line) for line in (root / "rows.jsonl").read_text().splitlines()]
    assert [(row["agent"], row["solved"], row["exit_code"]) for row in rows] == [
        ("good", True, 0),
        ("cheat", False, 0),
    ]
    assert "good: solved 1 of 1" in compare(root, GOOD)  # from the file: nothing is run again
    assert len((root / "rows.jsonl").read_text().splitlines()) == 2


def test_nothing_is_sent_elsewhere(root: Path) -> None:
    said = compare(root, GOOD, server="https://api.example.com/v1")
    assert "compare: https://api.example.com/v1 is not on this machine" in said
    assert not (root / "rows.jsonl").exists()


def git(folder: Path, *words: str) -> None:
    author = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", "-C", folder, *author, *words], check=True, capture_output=True)


def test_a_fix_with_its_tests_becomes_a_task(tmp_path: Path) -> None:
    repository, tasks = tmp_path / "double", tmp_path / "tasks.jsonl"
    test = "from double import double\n\n\ndef test_it():\n    assert double(2) == 4\n"
    states = [
        ("Start", "def double(n):\n    return n\n", "def test_nothing():\n    pass\n"),
        ("Fix double for all numbers (#3)", "def double(n):\n    return 2 * n\n", test),
    ]
    repository.mkdir()
    git(repository, "init", "-q")
    for message, source, tests in states:
        (repository / "double.py").write_text(source)
        (repository / "test_double.py").write_text(tests)
        git(repository, "add", ".")
        git(repository, "commit", "-qm", message)
    command = [sys.executable, "-B", BENCHMARKS, "bugs", "--tasks", tasks, "--collect", repository]
    subprocess.run([*command, "--python", sys.executable], check=True, timeout=120)
    (task,) = [json.loads(line) for line in tasks.read_text().splitlines()]
    assert task["request"] == "Fix double for all numbers"
    assert (task["file"], task["functions"], task["lines"]) == ("double.py", ["double"], [2])
    assert task["failing"] == ["test_double.py::test_it"]
