"""Tasks with a known place to change: run localagent on a copy, judge it, and sum up the rows.

A task is a JSON object: `repository` and `commit` say what to copy, `tests` are taken from the
commit `tests_of`, and `edit` replaces lines of `file`. `request` and `check` are what a user would
type. `functions` and `lines` of `file` are the right place; lines count from 1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from repositories import copy_of, environment, git
from rows import HALVES, halves_of, rows_of

LIMITS = (5, 10, 20, 30, 60, 90, 120, 180, 300)
NO_MODEL = [
    {"text": "edit", "when": "Is it a question that wants an answer", "repeat": True},
    {"text": "", "repeat": True},
]
"""The replies of `--no-model`: every request is an edit, and no reply has a change."""

Row = Mapping[str, Any]


def load(path: Path, only: Sequence[str], half: str) -> list[dict]:
    """The tasks of a file, or some of them: those with the names `only`, or one half."""
    tasks = rows_of(path)
    if not tasks:
        raise SystemExit(f"{path} has no tasks; make some with --collect")
    halves = halves_of(task["name"] for task in tasks)
    tasks = [t for t in tasks if half in ("both", halves[t["name"]])]
    return [t for t in tasks if not only or t["name"] in only]


@contextmanager
def laid_out(task: Row) -> Iterator[Path]:
    """A copy of the task's repository with its fault, as a user would find it."""
    with copy_of(Path(task["repository"]), task["commit"]) as tree:
        if task.get("tests"):
            git(tree, "checkout", "--quiet", task["tests_of"], "--", *task["tests"])
        if edit := task.get("edit"):
            file = tree / task["file"]
            lines = file.read_text().splitlines(keepends=True)
            lines[edit["first"] - 1 : edit["last"]] = [edit["text"]]
            file.write_text("".join(lines))
        author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        git(tree, *author, "commit", "--quiet", "--all", "--allow-empty", "-m", "Add tests")
        yield tree


def solve(task: Row, seconds: float, seed: int, *, model: str | None, no_model: bool) -> dict:
    """Run localagent on a copy of a task, as a user does; the task's check decides."""
    with laid_out(task) as tree:
        command = [sys.executable, "-m", "localagent", "run", task["request"], "--json", "--yes"]
        command += ["--check", task["check"], "--max-seconds", str(seconds), "--seed", str(seed)]
        command += ["--model", model] if model else []
        if no_model:
            script = tree.parent / "no-model.jsonl"
            script.write_text("".join(json.dumps(reply) + "\n" for reply in NO_MODEL))
            command += ["--scripted", str(script)]
        started = time.monotonic()
        code, events = _events(command, tree, environment(task["python"]), seconds + 60)
        took = round(time.monotonic() - started, 1)
        return {
            "solved": _judge(task, tree),
            "exit_code": code,
            "seconds": took,
            **_figures(events),
        }


def _events(
    command: Sequence[str], tree: Path, env: Mapping[str, str], seconds: float
) -> tuple[int, list[tuple[float, dict]]]:
    """The exit code of a run, and its events with their seconds since the start."""
    events = []
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=tree, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            with suppress(ValueError):
                events.append((time.monotonic() - started, json.loads(line)))
        timer.cancel()
    return process.returncode, events


def _figures(events: Sequence[tuple[float, dict]]) -> dict:
    """What the events say of candidates and tokens, and of the time to the first judged one."""
    last = next((e for _, e in reversed(events) if e["type"] == "turn_finished"), {})
    judged = [(t, 1) for t, e in events if e["type"] == "check_finished" and e["candidate"]]
    # One event for many changes that ran in forks.
    batches = [(t, e) for t, e in events if e["type"] == "candidates_judged"]
    judged += [(t - e["seconds"], e["count"]) for t, e in batches]
    first = min((at for at, _ in judged), default=float("inf"))
    read = sum(
        event["prompt_tokens"] - event["reused_tokens"]
        for at, event in events
        if event["type"] == "model_replied" and at <= first
    )
    return {
        "outcome": last.get("outcome", "none"),
        "how": last.get("how", ""),
        "candidates": sum(count for _, count in judged),
        "first_judged": round(first, 1) if judged else None,
        "read_before_first": read,
        "changed": last.get("changed", []),
        "tokens_read": last.get("prompt_tokens", 0) - last.get("reused_tokens", 0),
        "tokens_written": last.get("completion_tokens", 0),
    }


def _judge(task: Row, tree: Path) -> bool:
    """Whether the task's check passes on what the run left, with the task's own tests."""
    if task.get("tests"):
        git(tree, "checkout", "--quiet", task["tests_of"], "--", *task["tests"])
    try:
        done = subprocess.run(
            ["bash", "-c", task["check"]], cwd=tree, env=environment(task["python"]),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def rank(task: Row) -> dict:
    """Run the check with tracing, and rank the right file, function and line; no search."""
    from localization import ranks_in

    with laid_out(task) as tree, patch.dict(os.environ, environment(task["python"])):
        started = time.monotonic()
        return {**ranks_in(tree, task), "seconds": round(time.monotonic() - started, 1)}


def line_of(row: Row) -> str:
    """One line of the table of runs."""
    mark = "solved" if row["solved"] else "-"
    places = " ".join(f"{row[f'{k}_rank'] or '-':>3}" for k in ("file", "function", "line"))
    return (
        f"{row['name']:<28} {mark:<7} {row['how'] or row['outcome']:<16} "
        f"{row['candidates']:>5} tried  {row['seconds']:>6.1f} s  ranks {places}"
    )


def rank_line(row: Row) -> str:
    """One line of the table of ranks."""
    places = "  ".join(
        f"{kind} {row[f'{kind}_rank'] or '-':>3}" for kind in ("file", "function", "line")
    )
    note = "" if row["runs_function"] else "  (no failing test runs the function)"
    return f"{row['name']:<28} {places}  {row['seconds']:>5.1f} s{note}"


def print_runs(rows: Sequence[Row]) -> None:
    """Print how many tasks each half solved, by which moves, and in which time."""
    for half, some in _by_half(rows):
        solved = [row for row in some if row["solved"]]
        moves = Counter(row["how"].partition(" ")[0] or "no change" for row in solved)
        curve = {limit: sum(row["seconds"] <= limit for row in solved) for limit in LIMITS}
        tried = median(row["candidates"] for row in some)
        print(f"\n{half}: solved {len(solved)} of {len(some)} ({_share(len(solved), len(some))})")
        print("  by: " + ", ".join(f"{move} {count}" for move, count in moves.most_common()))
        print("  within: " + ", ".join(f"{limit} s {count}" for limit, count in curve.items()))
        first = [row["first_judged"] for row in some if row["first_judged"] is not None]
        print(
            f"  median: {tried:g} candidates; the first judged after "
            f"{median(first or [0]):.1f} s and {median(r['read_before_first'] for r in some):g} "
            "tokens read"
        )
    wrong = [row["name"] for row in rows if row["outcome"] == "solved" and not row["solved"]]
    if wrong:
        print(f"\nsaid to be solved, but the check fails: {', '.join(wrong)}")


def print_ranks(rows: Sequence[Row]) -> None:
    """Print the shares of right files, functions and lines that come first, by half."""
    for half, some in _by_half(rows):
        kinds = {
            "file": some,
            "function": [row for row in some if row["runs_function"]],
            "line": [row for row in some if row["runs_function"]],
        }
        print(f"\n{half}: {len(some)} tasks, median {median(r['seconds'] for r in some):.1f} s")
        for kind, counted in kinds.items():
            ranks = [row[f"{kind}_rank"] for row in counted]
            shares = (
                f"@{k} {_share(sum(0 < r <= k for r in ranks), len(ranks))}" for k in (1, 3, 10)
            )
            print(f"  {kind:<9} {len(ranks):>3}   {'  '.join(shares)}")
        inside = [row["line_in_function"] for row in kinds["line"] if row["line_in_function"]]
        if inside:
            print(f"  line within its function: median rank {median(inside):g}")


def _by_half(rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Row]]]:
    """The rows of each half that has any."""
    halves = halves_of(row["name"] for row in rows)
    for half in HALVES:
        some = [row for row in rows if halves[row["name"]] == half]
        if some:
            yield half, some


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
