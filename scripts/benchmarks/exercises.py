"""`scripts/bench exercises`: how many exercises of a checkout of exercism/python are solved.

Each exercise is a folder with a stub, its test file and INSTRUCTIONS.md. The benchmark runs
localagent on it as a user does, in a process of its own. Then it runs the tests once more, and only
they decide. Rows are appended to a JSONL file, so that an interrupted run can resume. A row has the
commit, whether the tree was dirty, the model, the seed and the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rows import HALVES, REPO, halves_of, resumed

TASK = "Implement what INSTRUCTIONS.md asks for in {solution} so that the tests in {tests} pass"
CHECK = "python -m pytest -q"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench exercises`."""
    parser.add_argument("--root", type=Path, required=True, help="a checkout of exercism/python")
    parser.add_argument("--names", type=Path, help="a file with one exercise name a line")
    parser.add_argument("--only", nargs="*", default=[], help="names of exercises")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "exercises.jsonl")
    parser.add_argument("--seconds", type=float, default=300.0, help="limit for each exercise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="a model of models.lock (default: its default)")
    parser.add_argument("--planner", help="workflow or react")
    parser.add_argument("--label", default="", help="a word that marks this run's rows")


def run(options: argparse.Namespace) -> int:
    """Run the exercises that the output file lacks, then print the table."""
    names = options.only or names_of(options.names)
    mark = {"label": options.label, "seed": options.seed, "model": options.model or "default"}
    _table(resumed(options.out, mark, names, lambda name: _solve(options, name), _line))
    return 0


def names_of(path: Path | None) -> list[str]:
    """The names in a file, without lines that begin with #."""
    if path is None:
        raise SystemExit("exercises: give --names FILE or --only NAME …")
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def prepare(root: Path, name: str, folder: Path) -> tuple[str, str]:
    """Lay out one exercise in `folder`; returns the solution's and the tests' file names."""
    source = root / "exercises" / "practice" / name
    files = json.loads((source / ".meta" / "config.json").read_text())["files"]
    for file in (*files["solution"], *files["test"], *files.get("editor", [])):
        shutil.copy(source / file, folder / file)
    parts = ("introduction.md", "instructions.md", "instructions.append.md")
    texts = [(source / ".docs" / p).read_text() for p in parts if (source / ".docs" / p).exists()]
    (folder / "INSTRUCTIONS.md").write_text("\n".join(texts))
    return files["solution"][0], files["test"][0]


def _solve(options: argparse.Namespace, name: str) -> dict:
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        folder = Path(temporary)
        solution, tests = prepare(options.root, name, folder)
        before = (folder / tests).read_bytes()
        task = task_of(solution, tests)
        command = [sys.executable, "-m", "localagent", "run", task, "--check", CHECK, "--json"]
        command += ["--max-seconds", str(options.seconds), "--seed", str(options.seed)]
        command += ["--model", options.model] if options.model else []
        command += ["--planner", options.planner] if options.planner else []
        started = time.monotonic()
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        return {
            "solved": judge(folder, tests, before),
            "exit_code": ran.returncode,
            "seconds": round(seconds, 1),
            **from_events(ran.stdout),
        }


def judge(folder: Path, tests: str, before: bytes) -> bool:
    """Whether the tests pass and are unchanged."""
    try:
        judged = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return judged.returncode == 0 and (folder / tests).read_bytes() == before


def task_of(solution: str, tests: str) -> str:
    """The prompt of an exercise."""
    return TASK.format(solution=solution, tests=tests)


def from_events(text: str) -> dict:
    """The attempts and tokens in the event stream."""
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    last = next((e for e in reversed(events) if e["type"] == "turn_finished"), {})
    checks = [e for e in events if e["type"] == "check_finished" and e["candidate"]]
    return {
        "outcome": last.get("outcome", "none"),
        "how": last.get("how", ""),
        "candidates": len(checks),
        "best_passed": max((e["tests_passed"] or 0 for e in checks), default=0),
        "tests": max(
            ((e["tests_passed"] or 0) + (e["tests_failed"] or 0) for e in checks), default=0
        ),
        "tokens_read": last.get("prompt_tokens", 0) - last.get("reused_tokens", 0),
        "tokens_written": last.get("completion_tokens", 0),
    }


def _line(row: dict) -> str:
    mark = "solved" if row["solved"] else "-"
    return (
        f"{row['name']:<26} {mark:<7} {row['how'] or row['outcome']:<14} "
        f"{row['candidates']:>3} tried  {row['best_passed']:>3}/{row['tests']:<3} tests  "
        f"{row['tokens_read']:>6} read {row['tokens_written']:>5} written {row['seconds']:>7.1f} s"
    )


def _table(rows: list[dict]) -> None:
    print()
    for row in sorted(rows, key=lambda r: (not r["solved"], r["name"])):
        print(_line(row))
    solved = sum(r["solved"] for r in rows)
    total = sum(r["seconds"] for r in rows)
    print(f"\nsolved {solved} of {len(rows)} in {total:.0f} s")
    for line in summary(rows):
        print(line)
    halves = halves_of(row["name"] for row in rows)
    for half in HALVES:
        some = [row for row in rows if halves[row["name"]] == half]
        if some:
            print(f"{half}: solved {sum(row['solved'] for row in some)} of {len(some)}")


def summary(rows: Sequence[Mapping]) -> list[str]:
    """Print how many exercises each strategy solved, and how many were solved in which time."""
    solved = [row for row in rows if row["solved"]]
    steps = Counter(_step(row) for row in solved)
    within = {
        limit: sum(row["seconds"] <= limit for row in solved)
        for limit in (15, 30, 60, 90, 120, 180, 240, 300, 600)
    }
    return [
        "by: " + ", ".join(f"{step} {count}" for step, count in steps.most_common()),
        "within: " + ", ".join(f"{limit} s {count}" for limit, count in within.items()),
    ]


def _step(row: Mapping) -> str:
    """The strategy that solved an exercise, or the greedy first attempt."""
    if not row["how"]:
        return "nothing (its tests passed before)"
    strategy, _, number = row["how"].partition(" ")
    return "one greedy attempt" if (strategy, number) == ("file", "1") else strategy
