"""The folders and files of the setup. The XDG folders are those of localagent/core/paths.py."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LOCKS = REPO / "scripts" / "lock"
VENV = REPO / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def _base(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    root = Path(value) if os.path.isabs(value) else Path.home() / default
    return root / "localagent"


def models() -> Path:
    """The model store."""
    return _base("XDG_DATA_HOME", ".local/share") / "models"


def builds() -> Path:
    """Compiled wheels and unfinished compiles."""
    return _base("XDG_CACHE_HOME", ".cache") / "build"


def log(what: str = "setup") -> Path:
    """The full log of the latest setup or bundle that did something."""
    return _base("XDG_STATE_HOME", ".local/state") / "logs" / f"{what}.log"


def environment() -> dict[str, str]:
    """The environment for programs of the virtual environment."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV)}
    env.pop("PYTHONHOME", None)
    return env
