"""RPM and deb packages of a bundle, made by nfpm: all of it lies in /opt/localagent, owned by root.

The package has the bundle's files. Its scripts run install.sh, so both ways of installing are one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import places
from setuplib.console import SetupError
from setuplib.process import Runner

from bundlelib import wheels

KINDS = ("deb", "rpm")
_HOME = "/opt/localagent"
_SITE = Path(__file__).parent / "site"
_COMPLETIONS = {
    "bash": "/usr/share/bash-completion/completions/localagent",
    "zsh": "/usr/share/zsh/site-functions/_localagent",
    "fish": "/usr/share/fish/vendor_completions.d/localagent.fish",
}
_LINKS = {
    "/usr/bin/localagent": f"{_HOME}/program/bin/localagent",
    "/usr/share/man/man1/localagent.1": f"{_HOME}/program/current/share/man/man1/localagent.1",
}
_NEEDS = {
    "deb": ["python3.11 | python3.12 | python3.13", "libstdc++6"],
    "rpm": ["(python3.12 or python3.11 or python3.13)", "libstdc++"],
}
"""Packages of the system. Debian's `python3` brings one of the three.

NumPy needs libstdc++, which needs libgcc; so do some other wheels.
"""


def make(
    runner: Runner, tools: Path, tree: Path, kinds: Sequence[str], out: Path, epoch: int
) -> list[Path]:
    """Make a package of each kind from the bundle's `tree`; `tools` has nfpm. Raises SetupError."""
    made = []
    with tempfile.TemporaryDirectory(dir=out, prefix=".package-") as name:
        folder = Path(name)
        for kind in kinds:
            config = folder / "nfpm.json"  # JSON is YAML too
            data = settings(tree, _completions(folder), kind, epoch)
            config.write_text(json.dumps(data), encoding="utf-8")
            command = [tools.parent / "nfpm", "package", "--packager", kind]
            command += ["--config", config, "--target", folder]
            env = {**places.environment(), "SOURCE_DATE_EPOCH": str(epoch)}
            runner.must(command, env, f"the {kind} package could not be made")
            package = next(folder.glob(f"*.{kind}"))
            made.append(Path(shutil.move(package, out / package.name)))
    return made


def _completions(folder: Path) -> dict[str, Path]:
    """Write the completion for each shell into `folder`, and return the files by their place."""
    made = {}
    for shell, place in _COMPLETIONS.items():
        made[place] = folder / shell
        command = [str(places.PYTHON), "-m", "localagent", "completion", shell]
        env = {**places.environment(), "COLUMNS": "80"}  # the terminal's width must not count
        with made[place].open("w") as out:
            if subprocess.run(command, env=env, stdout=out).returncode:
                raise SetupError(f"localagent wrote no completion for {shell}")
    return made


def settings(tree: Path, extra: dict[str, Path], kind: str, epoch: int) -> dict[str, Any]:
    """The settings of nfpm for a package of `tree` and the files `extra`, by their place."""
    version = wheels.version(next((tree / "wheels").glob("localagent-*.whl")))
    moment = wheels.iso_time(epoch)
    paths = sorted(path for path in tree.rglob("*") if path.is_file())
    files = {f"{_HOME}/bundle/{path.relative_to(tree).as_posix()}": path for path in paths}
    files |= {"/etc/localagent/policy.toml.example": _SITE / "policy.toml", **extra}
    # rpm removes only the folders that a package has.
    folders = {f"{_HOME}/bundle", *map(os.path.dirname, files)} - set(map(os.path.dirname, extra))
    return {
        "name": "localagent",
        "arch": "amd64",
        "platform": "linux",
        "version": version,
        "maintainer": "the site that made this bundle",
        "description": "A terminal coding agent that runs a local model and has no network",
        "license": "MIT",
        "mtime": moment,
        "depends": _NEEDS[kind],
        "contents": [
            *(_entry(moment, target, src=str(path)) for target, path in files.items()),
            *(_entry(moment, target, 0o755, type="dir") for target in _with_parents(folders)),
            *(_entry(moment, to, src=src, type="symlink") for to, src in _LINKS.items()),
        ],
        "scripts": {
            "postinstall": str(_SITE / "postinstall.sh"),
            "preremove": str(_SITE / "preremove.sh"),
        },
    }


def _entry(moment: str, target: str, mode: int = 0o644, **more: str) -> dict[str, Any]:
    info = {"mtime": moment} if more.get("type") == "symlink" else {"mtime": moment, "mode": mode}
    return {"dst": target, "file_info": info, **more}


def _with_parents(folders: set[str]) -> list[str]:
    """The folders and their parents within the folders that belong to localagent alone."""
    tops = (_HOME, "/etc/localagent")
    every = {str(each) for path in folders for each in (Path(path), *Path(path).parents)}
    return sorted(each for each in every if each.startswith(tops))
