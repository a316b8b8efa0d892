"""The default model, which localagent itself fetches and verifies."""

from __future__ import annotations

import tomllib

from setuplib import places
from setuplib.console import Console, SetupError, size
from setuplib.process import foreground


def pinned() -> tuple[str, str, int]:
    """Id, file name and size in bytes of the default model of this checkout's models.lock."""
    lock = tomllib.loads((places.REPO / "models.lock").read_text(encoding="utf-8"))
    entry = next(model for model in lock["model"] if model["id"] == lock["default"])
    return entry["id"], entry["file"], entry["bytes"]


def needed() -> bool:
    """Whether the model's file is missing or has a wrong size.

    localagent checks its hash before it loads the model.
    """
    _, file, count = pinned()
    try:
        return (places.models() / file).stat().st_size != count
    except OSError:
        return True


def missing_bytes() -> int:
    """The bytes that are still missing, with room for unfinished parts."""
    _, file, count = pinned()
    try:
        there = (places.models() / f"{file}.partial").stat().st_size
    except OSError:
        there = 0
    return count - there + 250_000_000


def fetch(console: Console, lock: int) -> None:
    """Fetch the default model, with localagent's own progress."""
    if not needed():
        return
    name, _, count = pinned()
    console.worked = True
    console.line(f"  model        {name}, {size(count)}")
    command = [places.PYTHON, "-m", "localagent", "models", "fetch", name]
    code = foreground(command, places.environment(), places.REPO, stdout=2, lock=lock)
    if code == 130:
        raise KeyboardInterrupt
    if code != 0 or needed():
        raise SetupError(
            f"the model {name} could not be fetched (see the reason above)",
            "run it again: it continues from here; or copy the file here and run: "
            f".venv/bin/localagent models fetch {name} --from PATH",
        )
