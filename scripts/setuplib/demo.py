"""The demo: the local model changes a copy of a sample, and the sample's tests judge it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from setuplib import model, places
from setuplib.console import Console, SetupError
from setuplib.process import foreground

CHECK = "python -m pytest -q"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A sample whose tests fail, the task, and what the model has done when they pass."""

    sample: Path
    task: str
    done: str


REPAIR = Scenario(
    places.REPO / "localagent" / "sample",
    "A test fails. Find the cause in the program and repair it; do not change the tests.",
    "repaired the sample",
)
FEATURE = Scenario(
    places.REPO / "scripts" / "samples" / "parcels",
    "Add the fee of heavy parcels that the new tests ask for. Do not change the tests.",
    "wrote the feature in two files",
)


def run(console: Console, options: list[str], scenario: Scenario = REPAIR) -> int:
    """Copy a sample, show its failing tests, let localagent change it, and run the tests again.

    `options` go to `localagent run`. Returns 0 only where both localagent and the tests succeed.
    """
    folder = copy_sample(scenario.sample)
    console.line(f"\nThe sample is in {folder}. Its tests now:\n")
    if run_tests(folder) == 0:
        raise SetupError("the sample's tests pass before the change", "report this")
    agent = run_agent(console, folder, scenario.task, options)
    console.line("\nThe sample's tests, run once more without localagent:\n")
    tests = run_tests(folder)
    console.line()
    if agent or tests:
        reason = f"localagent ended with exit code {agent}" if agent else "the tests still fail"
        console.line(f"The demo failed: {reason}. The folder stays: {folder}")
        return agent or 1
    localagent = shlex.quote(str(places.BIN / "localagent"))
    console.line(f"The model {scenario.done}, on this machine alone. Next:")
    console.line(f"  cd {shlex.quote(str(folder))}")
    console.line(f"  {localagent} undo    # undoes the change")
    console.line(f"  {localagent}         # an interactive session")
    if not shutil.which("localagent"):
        console.line(f"  ln -s {localagent} ~/.local/bin/    # then localagent alone starts it")
    return 0


def run_agent(console: Console, folder: Path, task: str, options: Sequence[str]) -> int:
    """Run localagent on a task in a sample's copy, and return its exit code."""
    command = ["localagent", "run", task, "--check", CHECK, "--yes"]
    command += ["--model", model.pinned()[0], *options]
    console.line(f"\n$ cd {shlex.quote(str(folder))}\n$ {shlex.join(command)}\n")
    code = foreground([places.PYTHON, "-m", *command], places.environment(), folder)
    if code == 130:
        raise KeyboardInterrupt
    return code


def copy_sample(sample: Path) -> Path:
    """A copy of a sample in a repository of its own. Raises SetupError."""
    given = os.environ.get("LOCALAGENT_DEMO_DIR")
    folder = Path(given).resolve() if given else Path(tempfile.mkdtemp(prefix="localagent-demo-"))
    if folder.is_dir() and any(folder.iterdir()):
        raise SetupError(
            f"LOCALAGENT_DEMO_DIR={folder} is not empty", "name a new folder, or empty this one"
        )
    ignore = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(sample, folder, dirs_exist_ok=True, ignore=ignore)
    _repository(folder)
    return folder


def _repository(folder: Path) -> None:
    """Make the copy a git repository of its own, so that the repair can be seen as a diff."""
    if not shutil.which("git"):
        return
    git = ["git", "-C", str(folder)]
    who = ["-c", "user.name=localagent demo", "-c", "user.email=demo@localhost"]
    quiet = ["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
    for command in (
        [*git, "init", "--quiet"],
        [*git, "add", "--all"],
        [*git, *who, *quiet, "commit", "--quiet", "-m", "the sample"],
    ):
        subprocess.run(command, check=False, capture_output=True)


def run_tests(folder: Path) -> int:
    """Run a sample's tests; return pytest's exit code."""
    command = [places.PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    env = {**places.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    return foreground(command, env, folder)
