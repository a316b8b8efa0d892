"""`scripts/bench logs`: speed and memory of the digest of logs, and first causes found.

The logs are generated (scripts/incident_logs.py). Even seeds are for choosing limits and prompts,
odd seeds for reports.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rows import HALVES, REPO, machine, write_row

sys.path.insert(0, str(REPO / "scripts"))
from incident_logs import KINDS, QUESTION, judged, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench logs`."""
    parser.add_argument("--megabytes", type=float, default=500, help="size of the logs (speed)")
    parser.add_argument("--incidents", type=int, default=0, help="judge so many incidents instead")
    parser.add_argument("--half", choices=HALVES, default="choose", help="which seeds")
    parser.add_argument("--model", nargs="?", const="", help="ask a model (default: the harness)")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "logs.jsonl")


def run(options: argparse.Namespace) -> int:
    """Measure the digest, or judge incidents."""
    if options.incidents:
        return _incidents(options)
    with tempfile.TemporaryDirectory(prefix="localagent-logs-") as name:
        folder = Path(name)
        write(folder / "logs", 1, "disk", options.megabytes)
        size = sum(_plain_size(path) for path in (folder / "logs").rglob("*") if path.is_file())
        first, peak, _ = _localagent(folder, "--json")
        second, _, _ = _localagent(folder, "--json")
    row = {
        "megabytes": round(size / 1e6, 1),
        "seconds": round(first, 2),
        "megabytes_a_second": round(size / 1e6 / first, 1),
        "peak_megabytes": round(peak / 1e6),
        "second_ask_seconds": round(second, 2),
    }
    write_row(options.out, {**row, **machine()})
    print(json.dumps(row))
    return 0


def _plain_size(path: Path) -> int:
    """The bytes of a file without compression."""
    if path.suffix != ".gz":
        return path.stat().st_size
    with gzip.open(path) as file:
        return sum(len(part) for part in iter(lambda: file.read(1 << 20), b""))


def _localagent(folder: Path, *words: str) -> tuple[float, int, str]:
    """Seconds, peak memory of all processes together (proportional set size), and the output."""
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "localagent", "logs", "-C", str(folder), "logs", *words]
    begun = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=REPO, text=True
    )
    peaks: list[int] = [0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    output = process.communicate()[0]
    return time.monotonic() - begun, max(peaks), output


def _watch(pid: int, peaks: list[int]) -> None:
    while True:
        try:
            parent = psutil.Process(pid)
            group = [parent, *parent.children(recursive=True)]
            peaks.append(sum(one.memory_full_info().pss for one in group))
        except psutil.NoSuchProcess:
            if not psutil.pid_exists(pid):
                return
        time.sleep(0.2)


def _incidents(options: argparse.Namespace) -> int:
    right = exact = 0
    for number in range(options.incidents):
        kind = KINDS[number % len(KINDS)]
        seed = number // len(KINDS) * 2 + HALVES.index(options.half)
        with tempfile.TemporaryDirectory(prefix="localagent-logs-") as name:
            folder = Path(name)
            truth = write(folder / "logs", seed, kind, 1.0)
            words = [] if options.model is None else [QUESTION]
            words += ["--model", options.model] if options.model else []
            seconds, _, output = _localagent(folder, *words, "--json")
            row = judged(folder, truth, json.loads(output))
        row = {"seed": seed, "seconds": round(seconds, 1), **row}
        right += row["right"]
        exact += row["quotes"]
        print(json.dumps(row), flush=True)
        write_row(options.out, {**row, "half": options.half, "model": options.model, **machine()})
    total = options.incidents
    print(f"first cause and its minute right: {right} of {total}; all quotes true: {exact}")
    return 0
