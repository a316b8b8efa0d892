"""`scripts/bench audit`: the time to write a record of the audit log, with and without syncing."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from rows import REPO, machine, write_row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench audit`."""
    parser.add_argument("--records", type=int, default=2000, help="number of records")
    parser.add_argument("--where", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "audit.jsonl")


def run(options: argparse.Namespace) -> int:
    """Write records, and print the time for one."""
    from localagent.core.events import Decision, FileRead, ModelRequested, TurnFinished

    finished = TurnFinished(1, "answered", 0, "done", "", "", [], 1.0, 2, 3, 4)
    kinds = {
        "a file read": FileRead("src/module.py", "ab" * 32),
        "a prompt of 20 KB": ModelRequested("act", "some words " * 2000),
        "a decision, synced": Decision("edit", "src/module.py", True, "user"),
        "a turn's end, synced": finished,
    }
    with tempfile.TemporaryDirectory(dir=options.where) as folder:
        os.environ["XDG_DATA_HOME"] = folder
        from localagent.history.audit.log import AuditLog

        with AuditLog("bench") as log:
            for name, event in kinds.items():
                costs = []
                for _ in range(options.records if "synced" not in name else options.records // 10):
                    begun = time.perf_counter()
                    log.append(event)
                    costs.append((time.perf_counter() - begun) * 1000)
                ranked = sorted(costs)
                row = {
                    "event": name,
                    "median_ms": round(statistics.median(ranked), 3),
                    "p95_ms": round(ranked[len(ranked) * 95 // 100], 3),
                }
                write_row(options.out, {**row, "records": len(costs), **machine()})
                print(f"{name:<24} median {row['median_ms']:.3f} ms, p95 {row['p95_ms']:.3f} ms")
    return 0
