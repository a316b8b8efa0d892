"""Settings files, and what localagent keeps on the disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from localagent.config import policy as policies
from localagent.config import settings as config
from localagent.config.settings import Settings
from localagent.core.paths import (
    cache_dir,
    config_dir,
    data_dir,
    models_dir,
    sessions_dir,
    state_dir,
)
from localagent.doctor.report import Part, Problem
from localagent.history.audit.log import audit_dir
from localagent.models.llamacpp.hardware import gigabytes

_LOW = 1 << 30  # bytes on the disk below which it is said


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of localagent's: what is in it and its size in bytes; of `files` files."""

    name: str
    path: Path
    bytes: int
    files: int


def settings_part(root: Path, settings: Settings) -> Part:
    """The settings files, in the order in which they are read, and what was ignored."""
    files = (config.user_file(), config.project_file(root), *policies.places())
    read = [str(path) for path in files if path.is_file()]
    lines = [f"{path}: {'read' if str(path) in read else 'not there'}" for path in files]
    variables = sorted({s for s in settings.sources.values() if s.startswith("LOCALAGENT_")})
    lines += [f"from the environment: {', '.join(variables)}"] if variables else []
    notes = tuple(Problem(note, fatal=False) for note in settings.warnings)
    return Part("settings", tuple(lines), notes, {"read": read, "environment": variables})


def folders() -> Part:
    """Where state lies, and whether it can be written."""
    named = {
        "config": config_dir(),
        "models": models_dir(),
        "sessions": sessions_dir(),
        "cache": cache_dir(),
        "state": state_dir(),
    }
    problems = [problem for name, path in named.items() if (problem := _unwritable(name, path))]
    free = shutil.disk_usage(_existing(data_dir())).free
    if free < _LOW:
        problems.append(Problem(f"the disk has only {gigabytes(free)} free", fatal=False))
    lines = [f"{name}: {path}" for name, path in named.items()]
    lines.append(f"disk: {gigabytes(free)} free (localagent doctor --disk shows what is kept)")
    data = {**{name: str(path) for name, path in named.items()}, "disk_free": free}
    return Part("state", tuple(lines), tuple(problems), data)


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    return next(folder for folder in (path, *path.parents) if os.path.exists(folder))  # noqa: PTH110  # this one raises nothing


def _unwritable(name: str, path: Path) -> Problem | None:
    there = _existing(path)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return None
    # Settings are only read.
    return Problem(
        f"the folder for {name} cannot be written: {there}",
        f"give yourself the right to write there, or name another place with {_VARIABLES[name]}",
        fatal=name != "config",
    )


_VARIABLES = {
    "config": "XDG_CONFIG_HOME",
    "models": "XDG_DATA_HOME",
    "sessions": "XDG_DATA_HOME",
    "cache": "XDG_CACHE_HOME",
    "state": "XDG_STATE_HOME",
}


def disk() -> list[Kept]:
    """What localagent keeps, by what it is for."""
    places = {
        "settings": config_dir(),
        "models": models_dir(),
        "sessions": sessions_dir(),
        "audit log": audit_dir(),
        "cache": cache_dir(),
        "locks and logs": state_dir(),
    }
    return [Kept(name, path, *_size(path)) for name, path in places.items()]


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder; links are not followed, and what cannot be read is left
    out."""
    size = files = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118  # many thousands of files
                files += 1
            except OSError:  # it was removed meanwhile
                continue
    return size, files
