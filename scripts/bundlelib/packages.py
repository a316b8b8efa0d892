"""RPM and deb packages of a bundle, made by nfpm: all of it lies in /opt/localagent, owned by root.

The package has the bundle's files. Its scripts run install.sh, so both ways of installing are one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import places
from setuplib.process import Runner

from bundlelib import wheels

KINDS = ("deb", "rpm")
_HOME = "/opt/localagent"
_SITE = Path(__file__).parent / "site"
_PYTHONS = {
    "deb": ["python3 (>= 3.11)", "python3 (<< 3.14)"],
    "rpm": ["(python3.12 or python3.11 or python3.13)"],
}


def make(
    runner: Runner, tools: Path, tree: Path, kinds: Sequence[str], out: Path, epoch: int
) -> list[Path]:
    """Make a package of each kind from the bundle's `tree`; `tools` has nfpm. Raises SetupError."""
    made = []
    with tempfile.TemporaryDirectory(dir=out, prefix=".package-") as name:
        folder = Path(name)
        for kind in kinds:
            config = folder / "nfpm.json"  # JSON is YAML too
            config.write_text(json.dumps(settings(tree, kind, epoch)), encoding="utf-8")
            command = [tools.parent / "nfpm", "package", "--packager", kind]
            command += ["--config", config, "--target", folder]
            env = {**places.environment(), "SOURCE_DATE_EPOCH": str(epoch)}
            runner.must(command, env, f"the {kind} package could not be made")
            package = next(folder.glob(f"*.{kind}"))
            made.append(Path(shutil.move(package, out / package.name)))
    return made


def settings(tree: Path, kind: str, epoch: int) -> dict[str, Any]:
    """The settings of nfpm for a package of `tree`."""
    version = wheels.version(next((tree / "wheels").glob("localagent-*.whl")))
    moment = wheels.iso_time(epoch)
    paths = sorted(path for path in tree.rglob("*") if path.is_file())
    files = {f"{_HOME}/bundle/{path.relative_to(tree).as_posix()}": path for path in paths}
    files["/etc/localagent/policy.toml.example"] = _SITE / "policy.toml"
    link = {"src": f"{_HOME}/program/bin/localagent", "dst": "/usr/bin/localagent"}
    return {
        "name": "localagent",
        "arch": "amd64",
        "platform": "linux",
        "version": version,
        "maintainer": "the site that made this bundle",
        "description": "A terminal coding agent that runs a local model and has no network",
        "license": "MIT",
        "mtime": moment,
        "depends": _PYTHONS[kind],
        "contents": [
            {"src": str(path), "dst": target, "file_info": {"mtime": moment, "mode": 0o644}}
            for target, path in files.items()
        ]
        + [{**link, "type": "symlink", "file_info": {"mtime": moment}}],
        "scripts": {
            "postinstall": str(_SITE / "postinstall.sh"),
            "preremove": str(_SITE / "preremove.sh"),
        },
    }
