"""After a thousand edits, renames, deletions, branch switches and kills: equal to a fresh one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from index_rows import rows

from localagent.index.build import bring_up_to_date
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace

STEPS = 1000
INDEXER = """
import sys, time
from pathlib import Path
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace
if __name__ == "__main__":
    with DiskIndex(Workspace.open(sys.argv[1]), Path(sys.argv[2]), live=True) as index:
        print("ready", flush=True)
        while True:
            index.refresh()
            time.sleep(0.05)
"""


def git(root: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", root, *settings, *words], check=True, capture_output=True, text=True
    )
    return done.stdout


def step(rng: random.Random, root: Path, number: int) -> None:
    files = sorted(p for p in root.rglob("*.py") if ".git" not in p.parts)
    kind = rng.choices(
        ("write", "rename", "delete", "ignore", "commit", "switch"), (60, 12, 10, 2, 8, 8)
    )[0]
    place = root / f"p{rng.randrange(4)}" / f"f{rng.randrange(12)}.py"
    if kind == "write" or not files:
        place.parent.mkdir(exist_ok=True)
        body = "".join(
            f"def step_{number}_{n}(): return call_{n}({n})\n" for n in range(rng.randrange(6))
        )
        place.write_text(body)
    elif kind == "rename":
        place.parent.mkdir(exist_ok=True)
        rng.choice(files).rename(place)
    elif kind == "delete":
        rng.choice(files).unlink()
    elif kind == "ignore":
        (root / ".gitignore").write_text(f"f{rng.randrange(12)}.py\n" * rng.randrange(2))
    elif kind == "commit":
        git(root, "add", "-A")
        git(root, "commit", "-qm", str(number), "--allow-empty")
    else:
        git(root, "stash", "-qu")
        git(root, "checkout", "-q", "--force", rng.choice(("one", "two", "three")))


@pytest.mark.slow
def test_it_equals_a_fresh_one(tmp_path: Path) -> None:
    root, file = tmp_path / "work", tmp_path / "cache" / "i.sqlite"
    root.mkdir()
    git(root, "init", "-q", "-b", "one")
    git(root, "commit", "-qm", "start", "--allow-empty")
    for branch in ("two", "three"):
        git(root, "branch", branch)
    script = tmp_path / "indexer.py"
    script.write_text(INDEXER)
    rng = random.Random(11)
    indexer: subprocess.Popen[bytes] | None = None
    for number in range(STEPS):
        if number % 25 == 0:
            if indexer is not None:
                indexer.send_signal(signal.SIGKILL)
                indexer.communicate()
            indexer = subprocess.Popen([sys.executable, script, root, file], stdout=subprocess.PIPE)
            assert indexer.stdout is not None and indexer.stdout.readline() == b"ready\n"
        step(rng, root, number)
        if number % 100 == 99:
            time.sleep(rng.random())
    assert indexer is not None
    indexer.send_signal(signal.SIGKILL)
    indexer.communicate()
    workspace = Workspace.open(root)
    bring_up_to_date(file, workspace)[0].close()
    fresh = tmp_path / "fresh.sqlite"
    bring_up_to_date(fresh, workspace)[0].close()
    assert rows(file, workspace.root) == rows(fresh, workspace.root)
    with DiskIndex(workspace, file) as old, DiskIndex(workspace, fresh) as new:
        for path in new.files():
            asked = f"{Path(path).stem} step"
            assert {h.path for h in old.search(asked)} == {h.path for h in new.search(asked)}
