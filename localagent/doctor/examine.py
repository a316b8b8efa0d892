"""The examination: all parts, in the order in which a run meets them."""

from __future__ import annotations

import platform
import sqlite3
import sys
from pathlib import Path

from localagent import __version__
from localagent.core.errors import LocalAgentError
from localagent.doctor.guarantee import audit_part, egress_part, policy_part
from localagent.doctor.model import models
from localagent.doctor.ollama import ollama_part
from localagent.doctor.report import Part, Problem, Report
from localagent.doctor.sandboxes import sandbox_part
from localagent.doctor.state import folders, settings_part
from localagent.index.store import index_file, peek
from localagent.index.watcher import Watcher, folders_to_watch
from localagent.models.llamacpp.hardware import (
    all_processors,
    available_memory,
    gigabytes,
    physical_cores,
    processor,
    total_memory,
)
from localagent.project.project import Project
from localagent.workspace.workspace import Workspace

_HINT = (
    "raise it (sysctl fs.inotify.max_user_watches=524288); until then changes are noticed at the"
    " start of each task only"
)


def index_part(workspace: Workspace) -> Part:
    """Whether there is an index, and whether the system lets its files be watched."""
    file = index_file(workspace.root)
    lines = [f"file: {file}", _size(file)]
    watched = folders_to_watch(workspace.root, workspace.files())
    watcher = Watcher(workspace.root, watched, lambda _path: None)
    watcher.close()
    limits = _limits()
    told = ", ".join(f"{name} {value:,}" for name, value in limits.items())
    needed = f"{len(watched):,} {'is' if len(watched) == 1 else 'are'} needed here"
    limit = [f"watches: {told}; {needed}"] if limits else []
    data = {
        "file": str(file),
        "watched": len(watched),
        "limited": watcher.limited,
        "limits": limits,
    }
    if watcher.limited:
        problem = Problem(f"files cannot be watched: {watcher.limited}", _HINT, fatal=False)
        return Part("index", (*lines, *limit), (problem,), data)
    lines.append("changes are heard while a session lasts")
    return Part("index", (*lines, *limit), (), data)


def _limits() -> dict[str, int]:
    """What inotify gives one user; empty where there is none."""
    found = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            found[name] = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            continue
    return found


def _size(file: Path) -> str:
    """What is in the index; it is only looked at."""
    if not file.exists():
        return "not made yet; the first session or search makes it"
    try:
        counts = peek(file)
    except (OSError, sqlite3.Error) as error:
        return f"it cannot be read ({error}); the next session or search makes it anew"
    if counts is None:
        return "of another version of localagent; the next session or search makes it anew"
    return f"{counts.files:,} files, {counts.lines:,} lines"


def machine() -> Part:
    """Versions, processor, memory."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    name, flags = processor()
    cores, free, total = physical_cores(), available_memory(), total_memory()
    amx = " (AMX: yes)" if "amx_int8" in flags else ""
    lines = [
        f"localagent {__version__}, {python} ({sys.executable})",
        f"{system}",
        f"{name or 'processor'}: {cores} cores for localagent, {all_processors()} processors",
        f"instructions of interest: {' '.join(flags)}{amx}" if flags else "",
        f"memory: {gigabytes(free)} free" if free is not None else "memory: not told how much",
    ]
    if free is not None and total is not None:
        lines[-1] += f" of {gigabytes(total)}"
    data = {
        "localagent": __version__,
        "python": python,
        "platform": system,
        "processor": name,
        "flags": flags,
        "cores": cores,
        "memory_free": free,
        "memory_total": total,
    }
    return Part("machine", tuple(line for line in lines if line), (), data)


def examine(directory: Path, *more: Part, canaries: bool = True) -> Report:
    """Look at everything that a run in `directory` would need; `more` parts come last.

    `canaries`: every attempt to get out of each sandbox is made, some seconds a kind. Writes
    nothing but what the probe of the sandbox notes for the next run.
    """
    parts = [machine()]
    try:
        project = Project.open(directory)
    except LocalAgentError as error:
        problem = Problem(error.message, error.hint)
        return Report((*parts, Part("settings", (), (problem,)), folders(), *more))
    settings = project.settings
    parts += [settings_part(project.root, settings), policy_part(settings), folders()]
    parts += [egress_part(), sandbox_part(settings, canaries=canaries), audit_part(settings)]
    parts += [index_part(project.workspace), *models(settings), ollama_part(settings)]
    return Report((*parts, *more))
