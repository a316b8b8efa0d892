"""The sandbox's tests once more as an ordinary user, for whom the kernel's rules are others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

NOBODY = 65534
# Files that one process runs, and the tests in them; commands without a sandbox gain nothing there.
RUNS = {
    "snapshots": (
        ("test_snapshots.py", "test_round_trip.py", "test_hostile_workspace.py"),
        "",
    ),
    "commands": (("test_commands.py", "test_confinement.py", "test_toolchains.py"), "not none"),
}


# The interpreter of a virtual environment often lies in a home that others cannot enter; the
# system's own runs the same pure Python packages.
PATH = os.pathsep.join(
    [str(Path(__file__).resolve().parents[3]), str(Path(pytest.__file__).parents[1])]
)
PROBE = "import os, sys, hypothesis, pytest; assert os.access(sys.executable, os.X_OK)"


def usable_python(user: list[str]) -> str | None:
    """An interpreter that `user` (a command that becomes somebody else) can run the tests with."""
    for python in (sys.executable, os.path.realpath(sys.executable), "/usr/bin/python3"):
        probe = [*user, python, "-c", PROBE]
        if not subprocess.run(probe, capture_output=True, env={"PYTHONPATH": PATH}).returncode:
            return python
    return None


@pytest.mark.sandbox
@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_as_an_ordinary_user(name: str) -> None:
    setpriv = shutil.which("setpriv")
    if sys.platform != "linux" or os.getuid() != 0 or setpriv is None:
        pytest.skip("needs root and setpriv, to become somebody else")
    user = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    python = usable_python(user)
    if python is None:
        pytest.skip("no interpreter that other users can run has pytest and hypothesis")
    files, selection = RUNS[name]
    base = tempfile.mkdtemp(prefix="localagent-user-")
    os.chown(base, NOBODY, NOBODY)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": base,
        "PYTHONPATH": PATH,
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
    }
    arguments = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    arguments += [
        "--import-mode=importlib",
        f"--basetemp={base}/t",
        *(str(Path(__file__).with_name(file)) for file in files),
    ]
    arguments += ["-k", selection] if selection else []
    try:
        done = subprocess.run(
            [*user, python, *arguments],
            env=environment,
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            text=True,
            timeout=500,
        )
    finally:
        shutil.rmtree(base, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "no sandbox unshare" not in done.stdout, done.stdout[-3000:]
