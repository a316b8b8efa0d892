"""The virtual environment and its packages; each completed part is recorded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from setuplib import places
from setuplib.console import Console, SetupError
from setuplib.process import Runner, full_disk

_NOTES = places.VENV / "localagent-setup.json"
SOURCE_ONLY = "drain3"
"""The package without a wheel: pure Python, which setuptools builds in a second."""

# No version check, no questions.
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


def ensure(console: Console, runner: Runner) -> None:
    """Create the virtual environment; again where it was moved or its Python is missing."""
    wanted = {"place": str(places.VENV), "python": sys.version}
    if noted("venv") == wanted and places.PYTHON.exists():
        return
    with console.step("environment", f"creating {places.VENV}") as result:
        shutil.rmtree(places.VENV, ignore_errors=True)
        # This may be the environment's Python; use the Python that it was created from.
        python = getattr(sys, "_base_executable", sys.executable)
        code, last = runner.run([python, "-m", "venv", places.VENV], os.environ.copy())
        if code != 0:
            if "No space left" in "\n".join(last):
                raise full_disk("the virtual environment could not be made")
            raise SetupError(
                f"{python} could not make a virtual environment",
                "Debian, Ubuntu: apt install python3-venv",
                str(runner.log_path),
            )
        note("venv", wanted)
        version = ".".join(map(str, sys.version_info[:3]))
        result.append(f"Python {version} in {places.VENV.name}")


def install_locked(console: Console, runner: Runner, names: Sequence[str]) -> None:
    """Install the packages of scripts/lock/NAME.txt, with exactly the hashes in it."""
    files = [places.LOCKS / f"{name}.txt" for name in names]
    todo = [file for file in files if noted(file.name) != _hash(file)]
    if not todo:
        return
    with console.step("packages", "downloading and installing") as result:
        command = [places.PYTHON, *PIP, "install", "--require-hashes", "--no-deps"]
        command += ["--progress-bar", "off", "--no-build-isolation", "--only-binary", ":all:"]
        command += ["--no-binary", SOURCE_ONLY]
        collected: list[str] = []

        def show(line: str) -> None:
            if line.startswith("Collecting "):
                collected.append(line.split()[1].split("==")[0])
                console.progress(f"downloading package {len(collected)}: {collected[-1]}")
            elif line.startswith("Installing "):
                console.progress(f"installing {len(collected)} packages")

        failed = "the packages that localagent needs could not be installed"
        for file in todo:  # one after another: build.txt has what builds a package of runtime.txt
            runner.must(
                [*command, "--requirement", file], places.environment(), failed, on_line=show
            )
            note(file.name, _hash(file))
        result.append(f"{len(collected)} packages, locked by hash")


def install_project(console: Console, runner: Runner) -> None:
    """Install this checkout in place: `localagent` runs its files."""
    wanted = {"place": str(places.REPO), "project": _hash(places.REPO / "pyproject.toml")}
    if noted("project") == wanted:
        return
    with console.step("localagent", "installing this checkout") as result:
        command = [places.PYTHON, *PIP, "install", "--no-deps", "--no-build-isolation"]
        command += ["--no-index", "--editable", places.REPO]
        runner.must(command, places.environment(), "localagent could not be installed")
        note("project", wanted)
        result.append("installed in place")


def noted(key: str) -> object:
    """The record of a completed part, or None."""
    try:
        return json.loads(_NOTES.read_text(encoding="utf-8")).get(key)
    except (OSError, ValueError, AttributeError):
        return None


def note(key: str, value: object) -> None:
    """Record that a part is complete."""
    try:
        notes = json.loads(_NOTES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        notes = {}
    fresh = _NOTES.with_suffix(".new")
    fresh.write_text(json.dumps({**notes, key: value}, indent=1), encoding="utf-8")
    fresh.replace(_NOTES)


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
