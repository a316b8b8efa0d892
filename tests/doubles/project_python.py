"""A Python with pytest alone, as a small project has it: the checks of tests run on it.

The developers' environment has pytest plug-ins (hypothesis, xdist, timeout). Every pytest loads
them, which takes a second of CPU, and the suite starts hundreds of checks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import venv
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

_PACKAGES = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


@cache
def project_bin() -> Path:
    """The folder of the interpreter, made at the first call in a checkout.

    It lies in the developers' environment, since every sandbox shows that.
    """
    version = f"{distribution('pytest').version}-{sys.version_info[0]}.{sys.version_info[1]}"
    place = Path(sys.prefix) / "share" / f"pytest-alone-{version}"
    if not place.is_dir():
        if not os.access(sys.prefix, os.W_OK):  # another user runs the tests with the system's
            return Path(sys.executable).parent
        made = Path(tempfile.mkdtemp(dir=_made(place.parent)))
        made.chmod(0o755)  # other users run tests, too
        _fill(made)
        with contextlib.suppress(OSError):  # another process was faster
            made.rename(place)
        shutil.rmtree(made, ignore_errors=True)
    return place / "bin"


def first_on_path() -> str:
    """PATH with the interpreter's folder first."""
    return f"{project_bin()}{os.pathsep}{os.environ['PATH']}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fill(place: Path) -> None:
    venv.EnvBuilder(symlinks=True).create(place)
    (packages,) = place.glob("lib/python*/site-packages")
    for package in _PACKAGES:
        for file in distribution(package).files or ():
            top = file.parts[0]
            if top.endswith((".dist-info", "__pycache__")) or top == "..":
                continue
            link, target = packages / top, Path(str(distribution(package).locate_file(top)))
            if not link.exists():
                link.symlink_to(target)
