"""`scripts/bench batch`: kill a batch at random moments, and count what it did twice or not at all.

The replies are scripted. A task puts its own number into a file, on a branch of its own. After the
last start every task must be solved once, and the repositories must be as before but for branches.
With `--engine ray`, a cluster of two workers on this machine loses a task's process and a worker.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from ray_cluster import kill_worker, ray_cluster
from rows import REPO, machine, write_row

_CHILD_SHARE = 0.3
"""Share of the kills that hit a process of a task, and not the batch itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench batch`."""
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--repositories", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=25, help="kill -9 at most so often")
    parser.add_argument("--pause", type=float, default=12.0, help="longest time between two kills")
    parser.add_argument("--engine", choices=["local", "ray"], default="local")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "batch.jsonl")


def run(options: argparse.Namespace) -> int:
    """Run the batch until it ends, and print what is wrong."""
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="localagent-batch-") as name:
        folder = Path(name)
        repositories = [make_repository(folder / f"r{n}") for n in range(options.repositories)]
        make_tasks(folder, repositories, options.tasks)
        begun = time.monotonic()
        run_engine = _run_here if options.engine == "local" else _run_on_ray
        row = run_engine(folder, options, chance)
        seconds = time.monotonic() - begun
        faults = find_faults(folder, repositories, options.tasks)
    row = {"tasks": options.tasks, "engine": options.engine, **row}
    write_row(options.out, {**row, "seconds": round(seconds), "faults": faults, **machine()})
    print(", ".join(f"{key} {value}" for key, value in row.items()))
    print("\n".join(faults) or "every task was done exactly once")
    return 1 if faults else 0


def _run_here(
    folder: Path, options: argparse.Namespace, chance: random.Random
) -> dict[str, object]:
    """Start the batch again and again until it ends by itself, and kill it in between."""
    kills = children = starts = 0
    while True:
        starts += 1
        process = start(folder, options.jobs)
        if kills + children < options.kills:
            with suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.2, options.pause))
            if chance.random() < _CHILD_SHARE and kill_child(process.pid, chance):
                children += 1
            if process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.0, 1.0))
                kills += process.poll() is None
                process.kill()
        if process.wait() >= 0:
            return {"starts": starts, "killed": kills, "children_killed": children}


def _run_on_ray(
    folder: Path, options: argparse.Namespace, chance: random.Random
) -> dict[str, object]:
    """Run the batch once on a cluster that loses a worker."""
    with ray_cluster() as address:
        process = start(folder, options.jobs, "--engine", "ray", "--ray-address", address)
        killed = kill_worker(process, chance)
        process.wait()
    return {"killed": killed}


def make_repository(path: Path) -> Path:
    """A repository with one commit."""
    path.mkdir()
    (path / "README.md").write_text("Numbers.\n")
    for number in range(100):
        (path / f"m{number}.py").write_text("def value():\n    return 0\n")
    git(path, "init", "-q")
    git(path, "add", "-A")
    git(path, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "first")
    return path


def make_tasks(folder: Path, repositories: Sequence[Path], count: int) -> None:
    """The file of tasks, and a script of replies for each."""
    lines = []
    for number in range(1, count + 1):
        text = f"def value():\n    return {number}\n"
        (folder / f"{number}.txt").write_text(f'--- reply repeat = true, to = "chat"\n{text}')
        task = {
            "id": f"t{number}",
            "task": f"Change m{number}.py so that value returns {number}",
            "repository": repositories[number % len(repositories)].name,
            "check": f"grep -q 'return {number}$' m{number}.py",
            "scripted": f"{number}.txt",
        }
        lines.append(json.dumps(task))
    (folder / "tasks.jsonl").write_text("\n".join(lines) + "\n")


def start(folder: Path, jobs: int, *engine: str) -> subprocess.Popen[bytes]:
    """Start or continue the batch."""
    tasks = str(folder / "tasks.jsonl")
    words = ["batch", tasks, "--yes", "--open-branches", "--jobs", str(jobs), *engine]
    return subprocess.Popen(
        [sys.executable, "-m", "localagent", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_child(pid: int, chance: random.Random) -> bool:
    """Kill one process below the batch; False if there is none."""
    with suppress(psutil.Error):
        children = psutil.Process(pid).children()
        if children:
            chance.choice(children).send_signal(signal.SIGKILL)
            return True
    return False


def find_faults(folder: Path, repositories: Sequence[Path], count: int) -> list[str]:
    """Everything that is not as it should be, in words."""
    lines = (folder / "tasks.batch" / "results.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    ids = [result["id"] for result in results]
    faults = [] if ids == [f"t{n}" for n in range(1, count + 1)] else [f"results: {ids}"]
    faults += [f"{r['id']}: {r['outcome']}" for r in results if r["outcome"] != "solved"]
    for number in range(1, count + 1):
        repository = repositories[number % len(repositories)]
        name = f"localagent/tasks/t{number}"
        made = git(repository, "reflog", "show", name).splitlines()
        if len(made) != 1:
            faults.append(f"{name}: {len(made)} entries in the reflog")
        changed = git(repository, "diff", "--stat", "HEAD", name)
        text = git(repository, "show", f"{name}:m{number}.py")
        if "1 file changed" not in changed or text != f"def value():\n    return {number}":
            faults.append(f"{name}: {changed} {text!r}")
        if (folder / "tasks.batch" / f"t{number}" / "work").exists():
            faults.append(f"t{number}: the copy is left")
    for repository in repositories:
        if left := git(repository, "status", "--porcelain"):
            faults.append(f"{repository.name}: {left}")
        if git(repository, "rev-list", "--count", "HEAD") != "1":
            faults.append(f"{repository.name}: HEAD moved")
        git(repository, "fsck", "--strict", "--no-dangling")
    return faults


def git(folder: Path, *words: str) -> str:
    """The output of git, which must succeed."""
    done = subprocess.run(["git", "-C", folder, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
