"""Repair a copy of the sample program, as a user would: the first run on a new machine."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from localagent.core.interpreter import python

_TASK = "A test fails. Find the cause in the program and repair it; do not change the tests."


@dataclass(frozen=True, slots=True)
class SampleRepair:
    """The result of one repair: whether the tests pass now, and what the run printed."""

    solved: bool
    seconds: float
    output: str


def repair_sample() -> SampleRepair:
    """Copy the sample to a new folder, and let `localagent run` repair it.

    The check needs pytest in localagent's own environment, which a bundle installs.
    """
    if importlib.util.find_spec("pytest") is None:
        return SampleRepair(False, 0.0, "pytest is missing: install localagent from a bundle")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="localagent-selftest-") as name:
        folder = Path(name, "timesheet")
        ignore = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        shutil.copytree(Path(__file__).parents[1] / "sample", folder, ignore=ignore)
        check = f"{shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider"
        done = subprocess.run(
            python("-m", "localagent", "run", _TASK, "--check", check, "--yes", "--plain"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    return SampleRepair(done.returncode == 0, time.monotonic() - start, done.stdout)
