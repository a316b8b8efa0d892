"""`scripts/bench index`: the time to build, update and query the index of a repository.

The benchmark changes one file of the repository, and restores it.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from string import ascii_lowercase

from rows import REPO, machine, write_row

from localagent.index.build import bring_up_to_date
from localagent.index.disk import DiskIndex
from localagent.index.lookup import places
from localagent.index.query import FieldQuery, Filter
from localagent.workspace.workspace import Workspace

QUERIES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench index`."""
    parser.add_argument("repository", type=Path)
    parser.add_argument("--processes", type=int, default=0, help="default: one per core")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "index.jsonl")


def run(options: argparse.Namespace) -> int:
    """Build, scan again, query and update; write one row, and print a line for each figure."""
    workspace = Workspace.open(options.repository)
    with tempfile.TemporaryDirectory(prefix="bench-index-") as temporary:
        file = Path(temporary) / "index.sqlite"
        row = {"repository": workspace.root.name, **_build(workspace, file, options.processes)}
        row |= _queries(workspace, file) | _updates(workspace, file)
    for key, value in row.items():
        print(f"{key:<22} {value}")
    write_row(options.out, {**row, **machine()})
    return 0


def _build(workspace: Workspace, file: Path, processes: int) -> dict:
    first = 0.0

    def progress(done: int, _total: int) -> None:
        nonlocal first
        if done and not first:
            first = time.perf_counter() - began

    began = time.perf_counter()
    store, _ = bring_up_to_date(file, workspace, progress, processes)
    seconds = time.perf_counter() - began
    counts = store.counts()
    store.close()
    again = _median(lambda: bring_up_to_date(file, workspace)[0].close())
    source = sum((workspace.root / path).stat().st_size for path in workspace.files())
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "files": counts.files,
        "lines": counts.lines,
        "pieces": counts.chunks,
        "symbols": counts.symbols,
        "build_s": round(seconds, 2),
        "searchable_after_s": round(first, 2),
        "rescan_s": round(again, 3),
        "index_mb": round(file.stat().st_size / 1e6, 1),
        "of_source": round(file.stat().st_size / max(1, source), 2),
        "memory_mb": round(own),
        "memory_of_a_process_mb": round(workers),
    }


def _queries(workspace: Workspace, file: Path) -> dict:
    """Time queries of a few words that follow each other in some file."""
    rng = random.Random(1)
    index = DiskIndex(workspace, file)
    texts = [path for path in index.files() if (workspace.root / path).stat().st_size < 200_000]
    times = []
    for _ in range(QUERIES):
        words = workspace.read_bytes(rng.choice(texts)).decode("utf-8", "replace").split()
        start = rng.randrange(max(1, len(words) - 12))
        began = time.perf_counter()
        index.search(" ".join(words[start : start + 12])[:400])
        times.append(1000 * (time.perf_counter() - began))
    row = _quantiles("query", times)
    row |= _quantiles("text", [_placed(index, workspace, texts, rng) for _ in range(QUERIES)])
    names = [s.last for path in rng.sample(texts, min(200, len(texts)))
             for s in index.symbols(path)[:1]]  # fmt: skip
    times = []
    for name in names[:QUERIES]:
        began = time.perf_counter()
        index.callers(name)
        times.append(1000 * (time.perf_counter() - began))
    index.close()
    return row | _quantiles("calls", times)


def _placed(index: DiskIndex, workspace: Workspace, texts: Sequence[str], rng: Random) -> float:
    """Milliseconds to find a part of some line, at most fifty places."""
    lines = workspace.read_bytes(rng.choice(texts)).decode("utf-8", "replace").splitlines()
    line = rng.choice([line for line in lines if len(line) > 12] or ["nothing like it"])
    start = rng.randrange(len(line) - 11)
    asked = FieldQuery("text", line[start : start + rng.randrange(8, 24)], "", Filter())
    began = time.perf_counter()
    places(index, workspace, asked, 50)
    return 1000 * (time.perf_counter() - began)


def _quantiles(name: str, times: Sequence[float]) -> dict:
    if not times:
        return {}
    order = sorted(times)
    return {
        f"{name}_median_ms": round(statistics.median(order), 1),
        f"{name}_p95_ms": round(order[int(0.95 * len(order))], 1),
    }


def _updates(workspace: Workspace, file: Path) -> dict:
    """Time until a changed file is searchable: by a scan of all files, and by the watcher."""
    path = next(p for p in workspace.files() if p.endswith((".py", ".go", ".c", ".js", ".rs")))
    place = workspace.root / path
    before = place.read_bytes()
    rng = Random(2)

    def change() -> str:
        word = "".join(rng.choices(ascii_lowercase, k=14))  # no other file contains a part of it
        place.write_bytes(before + f"\n# {word}\n".encode())
        return word

    def compare() -> None:
        change()
        bring_up_to_date(file, workspace)[0].close()

    try:
        scanned = _median(compare)
        with DiskIndex(workspace, file, live=True) as index:
            while not index.search("while it is built") and index.warning():
                index.refresh()
            time.sleep(2)  # the watcher finishes earlier changes
            saved = [_saved(index, path, change) for _ in range(9)]
            limited = index.limited()
    finally:
        place.write_bytes(before)
    return {
        "update_s": round(scanned, 3),
        "saved_s": round(statistics.median(seconds for seconds, _ in saved), 3),
        "saved_cpu_ms": round(1000 * statistics.median(cpu for _, cpu in saved), 1),
        "watched": limited or "all",
    }


def _saved(index: DiskIndex, path: str, change: Callable[[], str]) -> tuple[float, float]:
    """Seconds until the watcher makes a saved file searchable, and the CPU seconds for it."""
    cpu, began = _others(), time.perf_counter()
    word = change()
    while path not in (hit.path for hit in index.search(word, 3)):
        time.sleep(0.02)
        if time.perf_counter() - began > 10:
            break
    seconds = time.perf_counter() - began
    time.sleep(0.5)  # the watcher finishes its work
    return seconds, _others() - cpu


def _others() -> float:
    """CPU seconds of all threads and processes except this thread."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = time.process_time() + children.ru_utime + children.ru_stime
    return used - time.thread_time()


def _median(what: Callable[[], None]) -> float:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        what()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
