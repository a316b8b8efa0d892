"""Examine what a run needs: the parts of the report of `localagent doctor`."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path

from localagent import __version__
from localagent.config import policy as policies
from localagent.config import settings as config
from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError
from localagent.core.paths import (
    cache_dir,
    config_dir,
    data_dir,
    models_dir,
    sessions_dir,
    state_dir,
)
from localagent.doctor.hardening import hardening_part
from localagent.doctor.models import models, ollama_part, server_parts
from localagent.doctor.report import DoctorProblem, Report, Section
from localagent.doctor.sandboxes import sandbox_part
from localagent.egress import lock
from localagent.history.audit.log import audit_dir
from localagent.history.audit.verify import verify
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
from localagent.project.python_environment import MAKE_ENVIRONMENT, check_python
from localagent.workspace.workspace import Workspace

_PYTHON_PROJECTS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini")
_LOW_DISK = 1 << 30  # bytes of free space below which doctor warns
_VARIABLES = {
    "config": "XDG_CONFIG_HOME",
    "models": "XDG_DATA_HOME",
    "sessions": "XDG_DATA_HOME",
    "cache": "XDG_CACHE_HOME",
    "state": "XDG_STATE_HOME",
}
_RAISE_WATCHES = (
    "raise the limit (sysctl fs.inotify.max_user_watches=524288); until then a session looks for "
    "changes at the start of each task only"
)
_ALLOW_LOCK = "allow user namespaces on this machine, or use Linux on x86-64 or 64-bit ARM"


def checks_part(root: Path) -> Section:
    """The part on the Python that the project's checks find."""
    python = check_python(root)
    lines = [f"checks run {python}"]
    if python.environment is None:
        lines.append("the project has no Python environment of its own")
    data = {
        "python": python.path,
        "environment": str(python.environment.folder) if python.environment else None,
        "is_localagents_own": python.is_ours,
    }
    problems: tuple[DoctorProblem, ...] = ()
    if python.is_ours and any((root / name).exists() for name in _PYTHON_PROJECTS):
        what = "checks run localagent's own Python, which lacks the packages of the project"
        problems = (DoctorProblem(what, f"make one: {MAKE_ENVIRONMENT}", fatal=False),)
    return Section("checks", tuple(lines), problems, data)


def index_part(workspace: Workspace) -> Section:
    """The part on the index, and on whether a session can watch the workspace's files."""
    file = index_file(workspace.root)
    lines = [f"file: {file}", _index_size(file)]
    watched = folders_to_watch(workspace.root, workspace.files())
    watcher = Watcher(workspace.root, watched, lambda _path: None)
    watcher.close()
    limits = _limits()
    values = ", ".join(f"{name} {value:,}" for name, value in limits.items())
    needed = f"{len(watched):,} {'is' if len(watched) == 1 else 'are'} needed here"
    limit = [f"watches: {values}; {needed}"] if limits else []
    data = {
        "file": str(file),
        "watched": len(watched),
        "limited": watcher.limited,
        "limits": limits,
    }
    if watcher.limited:
        problem = DoctorProblem(
            f"files cannot be watched: {watcher.limited}", _RAISE_WATCHES, fatal=False
        )
        return Section("index", (*lines, *limit), (problem,), data)
    lines.append("watches files for changes during a session")
    return Section("index", (*lines, *limit), (), data)


def _limits() -> dict[str, int]:
    """The system's limits of inotify for one user; empty if the system has no inotify."""
    limits = {}
    for name in ("max_user_watches", "max_user_instances"):
        try:
            limits[name] = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            continue
    return limits


def _index_size(file: Path) -> str:
    """The size of the index, or the reason why it has no known size."""
    if not file.exists():
        return "none yet; the first session or search builds it"
    try:
        counts = peek(file)
    except (OSError, sqlite3.Error) as error:
        return f"unreadable ({error}); the next session or search rebuilds it"
    if counts is None:
        return "made by another version of localagent; the next session or search rebuilds it"
    return f"{counts.files:,} files, {counts.lines:,} lines"


def machine() -> Section:
    """The part on versions, processor and memory."""
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
        f"memory: {gigabytes(free)} free" if free is not None else "memory: unknown",
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
    return Section("machine", tuple(line for line in lines if line), (), data)


def examine(directory: Path, *more: Section, canaries: bool = True) -> Report:
    """Examine everything that a run in `directory` needs; the parts in `more` come last.

    With `canaries`, also run the escape tests of each kind of sandbox, which takes some seconds for
    each kind. The only file written is the result of the sandbox probe, for the next run.
    """
    parts = [machine()]
    try:
        project = Project.open(directory)
    except LocalAgentError as error:
        problem = DoctorProblem(error.message, error.hint)
        return Report((*parts, Section("settings", (), (problem,)), folders(), *more))
    settings = project.settings
    parts += [settings_part(project.root, settings), policy_part(settings), folders()]
    parts += [
        hardening_part(),
        egress_part(),
        sandbox_part(settings, canaries=canaries),
        audit_part(settings),
    ]
    parts += [checks_part(project.root), index_part(project.workspace)]
    parts += [*models(settings), ollama_part(settings), *server_parts(settings)]
    return Report((*parts, *more))


@dataclass(frozen=True, slots=True)
class StoredFolder:
    """A folder of localagent, with the total size in bytes and the number of its files."""

    name: str
    path: Path
    bytes: int
    files: int


def settings_part(root: Path, settings: Settings) -> Section:
    """The part on settings: the files in the order in which they are read, and ignored values."""
    files = (config.user_file(), config.project_file(root), *policies.places())
    read = [str(path) for path in files if path.is_file()]
    lines = [f"{path}: {'read' if str(path) in read else 'none'}" for path in files]
    variables = sorted({s for s in settings.sources.values() if s.startswith("LOCALAGENT_")})
    lines += [f"from the environment: {', '.join(variables)}"] if variables else []
    problems = tuple(DoctorProblem(text, fatal=False) for text in settings.warnings)
    return Section("settings", tuple(lines), problems, {"read": read, "environment": variables})


def folders() -> Section:
    """The part on localagent's folders, and on whether localagent can write to them."""
    places = {
        "config": config_dir(),
        "models": models_dir(),
        "sessions": sessions_dir(),
        "cache": cache_dir(),
        "state": state_dir(),
    }
    problems = [problem for name, path in places.items() if (problem := _unwritable(name, path))]
    free = shutil.disk_usage(_existing(data_dir())).free
    if free < _LOW_DISK:
        problems.append(DoctorProblem(f"the disk has only {gigabytes(free)} free", fatal=False))
    lines = [f"{name}: {path}" for name, path in places.items()]
    lines.append(f"disk: {gigabytes(free)} free (localagent doctor --disk lists its use)")
    data = {**{name: str(path) for name, path in places.items()}, "disk_free": free}
    return Section("state", tuple(lines), tuple(problems), data)


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110  # this one raises nothing


def _unwritable(name: str, path: Path) -> DoctorProblem | None:
    there = _existing(path)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return None
    # An unwritable config folder is not fatal, because settings are only read.
    return DoctorProblem(
        f"cannot write the folder for {name}: {there}",
        f"change its permissions, or name another folder with {_VARIABLES[name]}",
        fatal=name != "config",
    )


def disk() -> list[StoredFolder]:
    """The sizes of localagent's folders, by purpose."""
    places = {
        "settings": config_dir(),
        "models": models_dir(),
        "sessions": sessions_dir(),
        "audit log": audit_dir(),
        "cache": cache_dir(),
        "locks and logs": state_dir(),
    }
    return [StoredFolder(name, path, *_size(path)) for name, path in places.items()]


def _size(folder: Path) -> tuple[int, int]:
    """The size in bytes and the number of the files below a folder. Links are not followed."""
    size = files = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118  # many thousands of files
                files += 1
            except OSError:  # deleted since the listing
                continue
    return size, files


def egress_part() -> Section:
    """The part on this process's egress lock, and on the addresses to which it may connect."""
    state = lock.state()
    places = [str(place) for place in state.destinations]
    lines = [f"localagent's own process: {state}" + (f" ({state.reason})" if state.reason else "")]
    lines.append(f"may connect to: {', '.join(places) or 'no address'}")
    if places:
        lines.append("(these addresses are used only for models of servers that you added)")
    data = {
        "level": state.level,
        "by_kernel": state.by_kernel,
        "destinations": places,
        "why": state.reason,
    }
    if state.by_kernel:
        return Section("egress lock", tuple(lines), (), data)
    problem = DoctorProblem(
        "the kernel does not confine localagent's process", _ALLOW_LOCK, fatal=False
    )
    return Section("egress lock", tuple(lines), (problem,), data)


def policy_part(settings: Settings) -> Section:
    """The part on the administrator's policy, and on the settings that each policy file locks."""
    policy = settings.policy
    locked = [
        {"key": key, "value": value, "file": str(file)}
        for file, table in policy.settings.items()
        for key, value in table.items()
    ]
    lines = [
        f"{file}: {'in force' if file in policy.files else 'none'}" for file in policies.places()
    ]
    if policy.files:
        lines.append(f"offline: {'yes, models fetch is refused' if policy.offline else 'no'}")
        lines.append(f"hosts beyond this machine: {', '.join(policy.allowed_hosts) or 'none'}")
        lines.append(f"sandboxes: {', '.join(policy.sandboxes) or 'any, and none'}")
        if policy.audit_min_days:
            lines.append(f"audit log: keeps every session for {policy.audit_min_days} days")
    lines += [_locked(row) for row in locked]
    data = {
        "files": [str(file) for file in policy.files],
        "offline": policy.offline,
        "allowed_hosts": policy.allowed_hosts,
        "sandboxes": policy.sandboxes,
        "audit_min_days": policy.audit_min_days,
        "locked": locked,
    }
    return Section("policy", tuple(lines), (), data)


def audit_part(settings: Settings) -> Section:
    """The part on the audit log: what it stores, for how long, and whether it is unchanged."""
    days = f"for {settings.audit_days} days" if settings.audit_days else "no expiry"
    size = f"at most {settings.audit_bytes / 1e9:.2f} GB" if settings.audit_bytes else "any size"
    data: dict[str, object] = {"setting": settings.audit, "folder": str(audit_dir())}
    if settings.audit == "off":
        said = f"switched off by {settings.source('audit')}"
        problem = DoctorProblem(
            "there is no audit log", "localagent config set audit hashes", fatal=False
        )
        return Section("audit log", (said,), (problem,), data)
    checked = verify()
    lines = [
        f"{audit_dir()}: stores {settings.audit} of prompts; {days}; {size}",
        f"sessions: {checked.sessions}",
    ]
    data |= {"sessions": checked.sessions, "intact": checked.intact}
    if checked.intact:
        return Section("audit log", tuple(lines), (), data)
    problem = DoctorProblem(
        "the audit log has changed since it was written", "localagent audit verify", fatal=False
    )
    return Section("audit log", tuple(lines), (problem,), data)


def _locked(row: dict[str, object]) -> str:
    value = row["value"]
    said = f"{len(value)} rules" if isinstance(value, list | tuple) and value else repr(value)
    if row["key"] != "permissions":
        said = repr(value)
    return f"locked: {row['key']} = {said}, by {row['file']}"
