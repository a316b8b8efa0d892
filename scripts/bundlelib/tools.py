"""The tools of the bundle (SBOM, packages, auditwheel) in a virtual environment of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuplib import places, venv
from setuplib.console import Console
from setuplib.process import Runner

_LOCK = places.LOCKS / "bundle.txt"


def python(console: Console, runner: Runner) -> Path:
    """The Python with the tools; the environment is made where it is missing or outdated."""
    folder = places.builds() / "bundle-tools"
    program, record = folder / "bin/python", folder / "bundle.txt"
    if record.exists() and record.read_bytes() == _LOCK.read_bytes():
        return program
    with console.step("tools", "installing the tools for SBOM, packages and wheels") as result:
        shutil.rmtree(folder, ignore_errors=True)
        env = os.environ.copy()
        runner.must([places.PYTHON, "-m", "venv", folder], env, "no environment for the tools")
        command = [program, *venv.PIP, "install", "--require-hashes", "--no-deps"]
        command += ["--only-binary", ":all:", "--progress-bar", "off", "--requirement", _LOCK]
        runner.must(command, env, "the tools of the bundle could not be installed")
        shutil.copy(_LOCK, record)
        result.append("cyclonedx-bom, nfpm and auditwheel, locked by hash")
    return program
