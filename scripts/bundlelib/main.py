"""The order of the steps of `scripts/bundle`."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from setuplib import places
from setuplib.console import Console, SetupError, size
from setuplib.process import Runner

from bundlelib import archive, contents, engine, packages, sbom, signature, tools, wheels

PYTHONS = ("3.11", "3.12", "3.13")
_DESCRIPTION = "Make one archive with all that a machine without a network needs."
SITE = Path(__file__).parent / "site"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of `scripts/bundle`."""
    parser = argparse.ArgumentParser("scripts/bundle", description=_DESCRIPTION)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder (default: dist)")
    parser.add_argument("--model", action="append", help="a model's id; none: no model")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="default: all three")
    parser.add_argument(
        "--package", action="append", choices=packages.KINDS, help="also make this package"
    )
    parser.add_argument("--sign", choices=tuple(signature.TOOLS), help="needs --key")
    parser.add_argument("--key", help="the site's private key: a file, or for gpg a key's name")
    found = parser.parse_args(arguments)
    if bool(found.sign) != bool(found.key):
        parser.error("--sign and --key belong together")
    return found


def bundle(console: Console, runner: Runner, arguments: argparse.Namespace) -> int:
    """Make the bundle in the folder `arguments.out`. Raises SetupError."""
    if arguments.sign:
        signature.ensure(arguments.sign, arguments.key)
    models = contents.models(arguments.model)
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    epoch = source_date()
    with tempfile.TemporaryDirectory(dir=out, prefix=".bundle-") as name:
        tree = Path(name)
        python = tools.python(console, runner)
        engine_wheel = engine.wheel(console, runner)
        with console.step("wheels", "downloading the wheels of all locked packages") as result:
            found = wheels.collect(
                runner, tree / "wheels", engine_wheel, arguments.python or PYTHONS, epoch
            )
            wheels.ensure_portable(runner, python, found)
            result.append(
                f"{len(found)} wheels for Python {', '.join(arguments.python or PYTHONS)}"
            )
        with console.step("contents", "copying documentation, licenses and models") as result:
            contents.copy(tree, models)
            for script in ("install.sh", "verify.sh", "Containerfile"):
                shutil.copy(SITE / script, tree / script)
            result.append(f"{len(models)} models, documentation, licenses")
        with console.step("SBOM", "describing packages and models") as result:
            sbom.write(runner, python, tree, models)
            result.append("CycloneDX, validated")
        with console.step("archive", "writing the archive") as result:
            version = wheels.version(next((tree / "wheels").glob("localagent-*.whl")))
            made = archive.write(tree, out / f"localagent-{version}-linux-x86_64.tar", epoch)
            result.append(f"{made.name}, {size(made.stat().st_size)}")
        manifests = [archive.manifest_of(made)]
        if arguments.package:
            with console.step("packages", "making packages") as result:
                kinds = list(dict.fromkeys(arguments.package))
                made_packages = packages.make(runner, python, tree, kinds, out, epoch)
                manifests += map(archive.list_package, made_packages)
                result.append(", ".join(package.name for package in made_packages))
    for extra in (SITE / "verify.sh", places.REPO / "localagent/docs/air-gap.md"):
        shutil.copy(extra, out)
    for manifest in manifests:
        _sign(console, manifest, arguments)
    return 0


def _sign(console: Console, manifest: Path, arguments: argparse.Namespace) -> None:
    signature.discard(manifest)
    if not arguments.sign:
        console.line(f"not signed: sign {manifest} with a key of your site (see air-gap.md)")
        return
    made_signature = signature.sign(arguments.sign, arguments.key, manifest)
    console.line(f"signed: {made_signature}")


def source_date() -> int:
    """The time that all files get: SOURCE_DATE_EPOCH, or the time of the last commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given.isdecimal():
        return int(given)
    command = ["git", "-C", str(places.REPO), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        hint = "set SOURCE_DATE_EPOCH to a number of seconds"
        raise SetupError(
            "this folder has no git history that gives the files a time", hint
        ) from None
    return int(done.stdout)
