"""Find the programs that localagent itself starts, outside of all folders that commands write to.

A virtual environment of the workspace is often on PATH. A command can write a program there, which
localagent would then run outside of the sandbox. So this module looks only in the folders of PATH
that lie outside of the workspace and outside of virtual environments. The program's file, with all
links resolved, must lie outside too. A workspace is the session's own, and any other in which
commands of a session once ran. Folders that this user cannot write to come first.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from localagent.core.paths import workspace_lock

_workspaces: set[str] = set()
# Variables with folders from which a program loads code, besides PATH.
_CODE = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH")
_INJECTED = ("LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "PYTHONHOME", "PYTHONSTARTUP")

_SYSTEM = ("/usr/", "/bin", "/sbin", "/nix/", "/run/current-system/")
# Entries of a virtual environment's folder.
_ENVIRONMENT = (
    "bin",
    "include",
    "lib",
    "lib64",
    "pyvenv.cfg",
    "share",
    "Include",
    "Lib",
    "Scripts",
)


def register_workspace(root: str | os.PathLike[str]) -> None:
    """Never start a program from `root`, whose files commands can change.

    No command runs in the top folder, so it is not registered.
    """
    real = os.path.realpath(root)
    if os.path.dirname(real) != real:  # noqa: PTH120
        _workspaces.add(real)


def find_program(name: str) -> str | None:
    """Return the absolute path of the program `name`; None if no safe folder of PATH has it.

    The path is the entry of PATH, and may be a link: some programs act by the name of the link.
    """
    for folder in sorted(safe_folders("PATH"), key=_is_writable):
        found = shutil.which(name, path=folder)
        if found and os.path.dirname(found) == folder and not is_writable_by_commands(found):  # noqa: PTH120
            return found
    return None


def install_folders(root: Path) -> tuple[str, ...]:
    """Return the folders below the workspace `root` from which localagent itself runs.

    They are relative to `root`. A command that wrote there would change localagent.
    """
    package = Path(__file__).parents[1]
    places = (package, sys.prefix, sys.exec_prefix, sys.base_prefix, Path(sys.executable).parent)
    found: dict[str, None] = {}
    for place in places:
        path = os.path.realpath(place)
        if path == str(root):
            found |= dict.fromkeys(_ENVIRONMENT)
        elif _is_in(path, str(root)):
            found[Path(path).relative_to(root).as_posix()] = None
    return tuple(found)


def safe_folders(variable: str) -> list[str]:
    """Return the absolute folders in an environment variable that commands cannot write to."""
    folders = dict.fromkeys(os.environ.get(variable, "").split(os.pathsep))
    return [
        folder
        for folder in folders
        if os.path.isabs(folder)  # noqa: PTH117
        and not is_writable_by_commands(folder)
        and not _is_of_an_environment(folder)
    ]


def safe_environment() -> dict[str, str]:
    """Return this process's environment without folders and files that commands can write to."""
    variables = {name: value for name, value in os.environ.items() if name not in _INJECTED}
    for name in ("PATH", *_CODE):
        if name in variables:
            variables[name] = os.pathsep.join(safe_folders(name))
            if not variables[name]:
                del variables[name]
    return variables


def _is_writable(folder: str) -> bool:
    """Report whether this user can write to a folder; root can, so only the system's are not."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return not folder.startswith(_SYSTEM)
    return os.access(folder, os.W_OK)


def is_writable_by_commands(path: str) -> bool:
    """Report whether the path, or the file to which it leads, lies in a workspace."""
    places = {os.path.normpath(path), os.path.realpath(path)}
    if any(_is_in(place, root) for place in places for root in _workspaces):
        return True
    return any(_had_commands(folder) for place in places for folder in _parents(place))


@cache
def _had_commands(folder: str) -> bool:
    """Report whether commands of a session once ran with the workspace `folder`."""
    return os.path.dirname(folder) != folder and workspace_lock(folder).exists()  # noqa: PTH120


def _is_in(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/\\") + os.sep)


def _is_of_an_environment(folder: str) -> bool:
    """Report whether the folder belongs to a virtual environment or to node_modules.

    Such a folder often lies in another workspace, whose commands could write to it.
    """
    above = list(_parents(folder))[:2]
    in_environment = any(os.path.lexists(f"{each}/pyvenv.cfg") for each in above)
    return in_environment or "node_modules" in Path(folder).parts


def _parents(folder: str) -> Iterator[str]:
    yield folder
    while (parent := os.path.dirname(folder)) != folder:  # noqa: PTH120
        yield parent
        folder = parent
