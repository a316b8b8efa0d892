"""The rows of all benchmarks: JSON lines with the commit, the machine and the figures."""

from __future__ import annotations

import functools
import json
import os
import platform
import random
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

HALVES = ("choose", "report")
_SEED = 16


@functools.cache
def machine() -> dict:
    """The commit, whether the work tree differs from it, and the machine."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(REPO), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": bool(git("status", "--porcelain")),
        "machine": f"{platform.machine()} {_processor()} {os.cpu_count()} cpus",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")


def write_row(path: Path, row: dict) -> None:
    """Append a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def rows_of(path: Path) -> list[dict]:
    """All rows of a file; an empty list where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def resumed(
    path: Path,
    mark: Mapping,
    names: Sequence[str],
    measure: Callable[[str], Mapping],
    line: Callable[[Mapping], str],
) -> list[dict]:
    """The rows of all names with this mark.

    Rows that the file lacks are measured, appended and printed. So an interrupted run resumes.
    """
    done = {row["name"] for row in rows_of(path) if mark.items() <= row.items()}
    for name in names:
        if name not in done:
            row = {**mark, "name": name, **machine(), **measure(name)}
            write_row(path, row)
            print(line(row), flush=True)
    return [r for r in rows_of(path) if mark.items() <= r.items() and r["name"] in names]


def halves_of(names: Iterable[str]) -> dict[str, str]:
    """The half of each name, "choose" or "report". A name stays in its half if others are added.

    Choose weights and limits on one half; the other half then says what they are worth.
    """
    return {name: HALVES[random.Random(f"{_SEED} {name}").random() < 0.5] for name in names}
