"""Models, documentation and licenses of a bundle."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import places
from setuplib.console import SetupError

from bundlelib.wheels import sha256

_LICENSE = re.compile(r"\.dist-info/(?:.*/)?(?:licen[cs]e|copying|notice|authors)[^/]*$", re.I)

_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".github/SECURITY.md", "LICENSE")
# The starts of links in these pages, and where they lead in a bundle.
_MOVED = {".github/": "", "../": "", "localagent/docs/": "docs/"}


def models(names: Sequence[str] | None) -> list[dict[str, Any]]:
    """The entries of models.lock for these ids (default: the default model), each with its file.

    Raises SetupError for an unknown id, or a file that is missing or is not the pinned one.
    """
    lock = tomllib.loads((places.REPO / "models.lock").read_text(encoding="utf-8"))
    known = {entry["id"]: entry for entry in lock["model"] if entry["backend"] == "llamacpp"}
    wanted = [lock["default"]] if names is None else [name for name in names if name != "none"]
    for name in wanted:
        if name not in known:
            raise SetupError(f"models.lock has no model {name}", f"one of: {', '.join(known)}")
        file = places.models() / known[name]["file"]
        if not file.is_file():
            raise SetupError(f"{file} is missing", f".venv/bin/localagent models fetch {name}")
        if sha256(file) != known[name]["sha256"]:
            raise SetupError(f"{file} is not the pinned one", "localagent models verify --deep")
    return [known[name] for name in dict.fromkeys(wanted)]


def copy(tree: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Copy models, documentation and licenses into `tree`."""
    (tree / "models").mkdir()
    for entry in entries:
        _link_or_copy(places.models() / entry["file"], tree / "models" / entry["file"])
    # The installer reads ids and files from here.
    rows = "".join(f"{entry['id']} {entry['file']}\n" for entry in entries)
    (tree / "models" / "list.txt").write_text(rows, encoding="utf-8")
    shutil.copytree(places.REPO / "localagent/docs", tree / "docs")
    for name in _PAGES:
        text = (places.REPO / name).read_text(encoding="utf-8")
        for link, moved in _MOVED.items():
            text = text.replace(f"]({link}", f"]({moved}")
        (tree / Path(name).name).write_text(text, encoding="utf-8")
    for wheel in sorted((tree / "wheels").glob("*.whl")):
        _licenses(wheel, tree / "licenses")


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _licenses(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if _LICENSE.search(name):
                target = folder / wheel.name.split("-")[0] / Path(name).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
