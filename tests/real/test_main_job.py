"""The main job: the real default model repairs the sample, in the real sandbox, and undo works."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import localagent

pytestmark = pytest.mark.real_model
SAMPLE = Path(localagent.__file__).parent / "sample"


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below `folder`: its mode and the hash of its bytes; caches left out."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
    }


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run localagent as a user would; the checks' python is the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "localagent", *words],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_the_sample_is_repaired_and_undone(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    before = tree(folder)
    check = "python -m pytest -q"
    done = run(folder, "run", "fix the failing test", "--check", check, "--yes", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    end = events[-1]
    assert (done.returncode, end["type"], end["outcome"]) == (0, "turn_finished", "solved"), end
    assert end["completion_tokens"] > 0  # the diff is the model's own work
    changed = {path for path, state in tree(folder).items() if before.get(path) != state}
    assert changed == set(end["changed"])
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder
    )
    assert tests.returncode == 0
    assert run(folder, "undo").returncode == 0
    assert tree(folder) == before
