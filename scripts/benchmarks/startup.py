"""`scripts/bench startup`: CPU time of commands that need no model."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path

from rows import REPO, machine, write_row

COMMANDS = (
    ("--version",),
    ("--help",),
    ("run", "--help"),
    ("models", "list"),
    ("sessions", "list"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench startup`."""
    parser.add_argument("--repeat", type=int, default=5, help="runs; the fastest counts")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "startup.jsonl")


def run(options: argparse.Namespace) -> int:
    """Measure each command and Python's own start."""
    bare = min(_seconds(["-c", "pass"]) for _ in range(options.repeat))
    for command in COMMANDS:
        words = ["-m", "localagent", *command]
        seconds = min(_seconds(words) for _ in range(options.repeat))
        name = " ".join(command)
        row = {"command": name, "cpu_seconds": round(seconds, 3), "python_seconds": round(bare, 3)}
        write_row(options.out, {**row, "ratio": round(seconds / bare, 1), **machine()})
        print(f"{name:<16} {seconds:.3f} s of CPU time, {seconds / bare:.1f} times python's")
    return 0


def _seconds(words: list[str]) -> float:
    before = _child_seconds()
    subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
    return _child_seconds() - before


def _child_seconds() -> float:
    """CPU seconds of ended child processes, to the microsecond (`os.times` counts 10 ms)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
