"""localagent with a fault: a copy of the package in which a piece of code is another."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def broken(folder: Path, file: str, old: str, new: str) -> Path:
    """A copy of the package in `folder`, in whose `file` each `old` is `new`; what is returned
    belongs into PYTHONPATH."""
    place = folder / "broken"
    skip = shutil.ignore_patterns("__pycache__", "docs", "sample")
    shutil.copytree(ROOT / "localagent", place / "localagent", ignore=skip)
    shutil.copy(ROOT / "models.lock", place)
    path = place / "localagent" / file
    text = path.read_text()
    assert old in text, f"{file} has no {old!r}"
    path.write_text(text.replace(old, new))
    return place
