"""Fixtures for the setup: its modules, and a copy of the checkout to run the scripts in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

# All that the scripts call before the environment exists, compilers left out.
TOOLS = ("bash", "sh", "env", "dirname", "head", "cat", "git")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the parts of the checkout that the setup needs, without an environment."""
    folder = tmp_path / "my checkout"
    folder.mkdir()
    for name in ("scripts", "localagent"):
        skip = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / name, folder / name, ignore=skip)
    for name in ("models.lock", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    (folder / "README.md").write_text("# localagent\n")
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH with a shell and this Python, and no compiler."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    base = getattr(sys, "_base_executable", sys.executable)
    (folder / "python3").symlink_to(base)
    return folder


@pytest.fixture
def environment(home: Path, tools: Path) -> dict[str, str]:
    """An environment for the scripts: an empty home, `tools` in PATH, an index that refuses."""
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "LOCALAGENT_", "XDG_"))
    }
    for name in ("CC", "CXX", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return {
        **kept,
        "HOME": str(home),
        "PATH": str(tools),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
    }


@pytest.fixture
def run(checkout: Path, environment: dict[str, str]) -> Run:
    """Runs a script of the copied checkout."""

    def call(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [checkout / "scripts" / script, *arguments],
            env={**environment, **env},
            capture_output=True,
            text=True,
            timeout=300,
        )

    return call
