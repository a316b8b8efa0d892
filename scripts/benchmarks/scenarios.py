"""`scripts/bench scenarios`: the demos feature, incident and migration with the model, by seed.

Each run gets a copy of its sample and is judged like the demo: by tests, by rows, or by the truth
about generated logs. Rows are appended to a JSONL file, so that an interrupted run can resume.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

from exercises import from_events
from rows import REPO, resumed

sys.path.insert(0, str(REPO / "scripts"))
from incident_logs import KINDS, QUESTION, judged, write
from setuplib import demo, migration, model, places

INCIDENT_MEGABYTES = 1.0
DECIDED = {
    "feature": "harness: files, order, checks, small changes; model: two functions",
    "incident": "harness: digest, candidates, quotes; model: which candidate, and the answer",
    "migration": "harness: revision, operations, data's move, class, join, test; "
    "model: split, two queries",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench scenarios`."""
    parser.add_argument("--only", nargs="*", choices=list(DECIDED), default=list(DECIDED))
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each scenario, from 1")
    parser.add_argument("--seconds", type=float, default=600.0, help="limit for each run")
    parser.add_argument("--label", default="", help="a word that marks this run's rows")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "scenarios.jsonl")


def run(options: argparse.Namespace) -> int:
    """Run the scenarios that the output file lacks, then print the table."""
    kinds: Mapping[str, Callable[[Path, int, float], dict]] = {
        "feature": _feature,
        "incident": _incident,
        "migration": _migration,
    }

    def measure(name: str) -> dict:
        scenario, _, seed = name.partition(" ")
        with tempfile.TemporaryDirectory(prefix=f"{scenario}-") as temporary:
            return kinds[scenario](Path(temporary) / scenario, int(seed), options.seconds)

    names = [f"{each} {seed}" for each in options.only for seed in range(1, options.seeds + 1)]
    mark = {"label": options.label, "model": model.pinned()[0]}
    rows = resumed(options.out, mark, names, measure, _line)
    for scenario in options.only:
        some = [row for row in rows if row["name"].startswith(f"{scenario} ")]
        solved = sum(row["solved"] for row in some)
        print(
            f"{scenario}: solved {solved} of {len(some)}; median {_median(some, 'seconds')} s, "
            f"{_median(some, 'tokens_read')} tokens read, {_median(some, 'tokens_written')} written"
        )
        print(f"  {DECIDED[scenario]}")
    return 0


def _median(rows: list[dict], key: str) -> float:
    return round(median(row[key] for row in rows), 1)


def _line(row: Mapping) -> str:
    return (
        f"{row['name']:<14} {'solved' if row['solved'] else '-':<7} {row['seconds']:>6.1f} s  "
        + (f"{row['tokens_read']:>6} read {row['tokens_written']:>5} written  {row['summary']}")
    )


def _feature(folder: Path, seed: int, seconds: float) -> dict:
    shutil.copytree(demo.FEATURE.sample, folder)
    before = _tests(folder)
    row = _run(folder, demo.FEATURE.task, seed, seconds)
    return {"solved": _passes(folder) and _tests(folder) == before, **row}


def _migration(folder: Path, seed: int, seconds: float) -> dict:
    shutil.copytree(migration.SAMPLE, folder)
    migration.prepare(folder)
    row = _run(folder, migration.TASK, seed, seconds)
    fault = migration.judged(folder)
    return {"solved": _passes(folder) and not fault, "fault": fault, **row}


def _incident(folder: Path, seed: int, seconds: float) -> dict:
    truth = write(folder / "logs", seed, KINDS[seed % len(KINDS)], INCIDENT_MEGABYTES)
    words = ["logs", "-C", str(folder), "logs", QUESTION, "--model", model.pinned()[0], "--json"]
    output, taken = _localagent(folder, words, seconds)
    result = judged(folder, truth, json.loads(output)) if output else {"right": False}
    solved = bool(result["right"] and result["quotes"])
    none = {"tokens_read": 0, "tokens_written": 0, "summary": truth.text}
    return {"solved": solved, "seconds": taken, **none}


def _run(folder: Path, task: str, seed: int, seconds: float) -> dict:
    """The row of a `localagent run` in the folder."""
    words = ["run", task, "--check", demo.CHECK, "--yes", "--json", "--model", model.pinned()[0]]
    words += ["--seed", str(seed), "--max-seconds", str(seconds)]
    output, taken = _localagent(folder, words, seconds + 60)
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    last = next((e for e in reversed(events) if e["type"] == "turn_finished"), {})
    return {"seconds": taken, "summary": last.get("summary", ""), **from_events(output)}


def _localagent(folder: Path, words: list[str], seconds: float) -> tuple[str, float]:
    command = [places.PYTHON, "-m", "localagent", *words]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=folder, env=places.environment(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", round(time.monotonic() - started, 1)
    return done.stdout, round(time.monotonic() - started, 1)


def _passes(folder: Path) -> bool:
    command = [places.PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=folder, env=places.environment(), capture_output=True, check=False
    )
    return done.returncode == 0


def _tests(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tests").rglob("*.py"))}
