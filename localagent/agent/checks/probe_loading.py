"""Load the probe into every pytest that a check starts, by environment variables.

A check may set its own environment. Assignments in the command itself keep the probe's folder; if
a script or a makefile drops the folder, pytest ends with an import error that names the probe.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

PROBE_DIR = Path(__file__).resolve().parent / "probe"
_PLUGIN = "localagent_probe"

# `PYTHONPATH=src pytest`, `env PYTHONPATH=src pytest`, `export PYTHONPATH=src; pytest`
_PYTHONPATH = re.compile(r"(?<![\w$-])PYTHONPATH=(?=(\S?))")
_EMPTY_ENVIRONMENT = re.compile(
    r"(?<![\w/.-])((?:/usr)?(?:/bin/)?env (?:-i|-|--ignore-environment))(?=\s)"
)

_FAILED_IMPORT = re.compile(rf"(importing plugin|No module named) ['\"]?{_PLUGIN}\b")


def probe_environment(trace: Sequence[str], *, lean: bool) -> dict[str, str]:
    """The variables that load the probe, which traces the files `trace`.

    `lean` keeps pytest from loading other plug-ins.
    """
    return {
        "PYTHONPATH": str(PROBE_DIR),
        "PYTEST_PLUGINS": _PLUGIN,
        # --tb=short only changes the output. --maxfail=0 undoes the project's -x, so that every
        # test runs.
        "PYTEST_ADDOPTS": "--tb=short --maxfail=0",
        "LOCALAGENT_PROBE_TRACE": os.pathsep.join(trace),
        **({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if lean else {}),
    }


def probed_command(command: str, variables: Mapping[str, str]) -> str:
    """The command with `variables` in it where the command sets its own environment."""
    folder = variables["PYTHONPATH"]
    if shlex.quote(folder) != folder:
        return command  # the command may be inside other quotes
    command = _PYTHONPATH.sub(
        lambda match: f"{match[0]}{folder}{os.pathsep if match[1].strip() else ''}", command
    )
    words = [f"{name}={value}".replace(" ", "\\ ") for name, value in variables.items()]
    return _EMPTY_ENVIRONMENT.sub(lambda match: " ".join((match[0], *words)), command)


def cannot_load(output: str) -> bool:
    """Whether a pytest of the check could not import the probe, and so ran no test."""
    return _FAILED_IMPORT.search(output) is not None
