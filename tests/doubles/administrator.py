"""An administrator's policy for one command: nothing but root can put one in its place, and no
variable moves it, so the command runs in a mount namespace whose /etc has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

# $1: the folder to work in, $2: the policy's file; what follows is the command.
_SCRIPT = """
set -e
mount -t tmpfs tmpfs "$1"
mkdir -p "$1/upper/localagent" "$1/work"
cat > "$1/upper/localagent/policy.toml"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc
shift
exec "$@"
"""


def under_policy(
    policy: str, folder: Path, command: Sequence[str], **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `command` where `policy` is in force; `folder` is an empty one. Skips the test where
    there can be no mount namespace."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        pytest.skip("needs Linux and unshare")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    folder.mkdir(exist_ok=True)
    start = [unshare, "--mount", *user, "sh", "-c", _SCRIPT, "sh", str(folder)]
    probe = subprocess.run([*start, "true"], input="", capture_output=True, text=True, timeout=60)
    if probe.returncode:
        pytest.skip(f"no mount namespace of one's own here: {probe.stderr.strip()}")
    return subprocess.run(
        [*start, *command],
        input=policy,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
