"""The project's own Python environment, which checks use before any other.

localagent may be installed in an environment that the user activated, and that environment lacks
the project's packages. So the project's environment comes first on the PATH of a check.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localagent.sandbox.environment import search_path

_PROGRAMS = "Scripts" if sys.platform == "win32" else "bin"
_PYTHON = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"

MAKE_ENVIRONMENT = "python3 -m venv .venv, then .venv/bin/pip install -e . pytest"
"""How a user makes an environment in the project."""


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """The environment of the project in `root`, in `folder`. `made_by` is a tool, or ""."""

    root: Path
    folder: Path
    made_by: str = ""

    def __str__(self) -> str:
        if self.folder.is_relative_to(self.root):
            return self.folder.relative_to(self.root).as_posix()
        return f"{self.folder} ({self.made_by})" if self.made_by else str(self.folder)

    def variables(self) -> dict[str, str]:
        """The variables that activate the environment and deactivate localagent's own."""
        kept = search_path().split(os.pathsep)
        if not _is_ours(self.folder):
            kept = [entry for entry in kept if not _is_ours(Path(entry).parent)]
        return {
            "PATH": os.pathsep.join([str(self.folder / _PROGRAMS), *kept]),
            "VIRTUAL_ENV": "" if self.made_by == "conda" else str(self.folder),
        }


def find_environment(root: Path) -> PythonEnvironment | None:
    """The environment of the project in `root`: in the project, activated, or made by a tool.

    None if the project has none. localagent's own environment counts only inside the project.
    """
    for made_by, folder in _candidates(root):
        if _has_python(folder) and (folder.is_relative_to(root) or not _is_ours(folder)):
            return PythonEnvironment(root, folder, made_by)
    return None


def check_variables(root: Path) -> dict[str, str]:
    """The variables of a check in `root`; none without an environment of the project."""
    environment = find_environment(root)
    return {} if environment is None else environment.variables()


@dataclass(frozen=True, slots=True)
class CheckPython:
    """The Python that a check finds; `path` is "" if there is none.

    `is_ours` says that the path leads to localagent's own environment, outside of the project.
    """

    path: str
    environment: PythonEnvironment | None
    is_ours: bool

    def __str__(self) -> str:
        if self.environment is not None:
            return f"the Python of {self.environment}"
        if self.is_ours:
            return f"localagent's own Python ({self.path})"
        return self.path or "no Python"


def check_python(root: Path) -> CheckPython:
    """The Python of a check in `root` that calls `python`."""
    environment = find_environment(root)
    path = environment.variables()["PATH"] if environment else search_path()
    found = shutil.which("python", path=path) or shutil.which("python3", path=path) or ""
    is_ours = environment is None and bool(found) and _is_ours(Path(found).parent.parent)
    return CheckPython(found, environment, is_ours)


def _has_python(folder: Path) -> bool:
    marked = (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()
    return marked and (folder / _PYTHON).exists()


def _is_ours(folder: Path) -> bool:
    """Whether localagent is installed in this environment; the system's Python is none."""
    is_environment = sys.prefix != sys.base_prefix or Path(sys.prefix, "conda-meta").is_dir()
    return is_environment and os.path.realpath(folder) == os.path.realpath(sys.prefix)


def _candidates(root: Path) -> Iterator[tuple[str, Path]]:
    """The folders that may be the project's environment, best first, with the tool of each."""
    if named := os.environ.get("UV_PROJECT_ENVIRONMENT"):
        yield "uv", root / named
    for name in (".venv", "venv", "env"):
        yield "", root / name
    if active := os.environ.get("VIRTUAL_ENV"):
        yield "active", Path(active)
    if os.environ.get("CONDA_DEFAULT_ENV") != "base" and (active := os.environ.get("CONDA_PREFIX")):
        yield "conda", Path(active)
    if (root / "poetry.lock").is_file():
        yield from _hashed("poetry", _poetry_folder(), str(root))
    if (root / "Pipfile").is_file():
        yield from _hashed("pipenv", _pipenv_folder(), str(root / "Pipfile"))
    for name in (".tox", ".nox"):
        if (root / name).is_dir():
            yield from (
                (name[1:], path.parent) for path in sorted(root.glob(f"{name}/*/pyvenv.cfg"))
            )


def _poetry_folder() -> Path:
    """Where poetry keeps environments: `virtualenvs.path` of its configuration."""
    if folder := os.environ.get("POETRY_VIRTUALENVS_PATH"):
        return Path(folder)
    cache = os.environ.get("POETRY_CACHE_DIR")
    default = {"darwin": "Library/Caches/pypoetry", "win32": "AppData/Local/pypoetry/Cache"}
    return Path(cache or Path.home() / default.get(sys.platform, ".cache/pypoetry")) / "virtualenvs"


def _pipenv_folder() -> Path:
    return Path(os.environ.get("WORKON_HOME") or Path.home() / ".local/share/virtualenvs")


def _hashed(made_by: str, folder: Path, path: str) -> Iterator[tuple[str, Path]]:
    """The environments that poetry or pipenv made for `path`: their names have its hash."""
    digest = hashlib.sha256(os.path.normcase(path).encode()).digest()
    mark = base64.urlsafe_b64encode(digest).decode()[:8]
    if folder.is_dir():
        yield from ((made_by, found) for found in sorted(folder.glob(f"*-{mark}*")))
