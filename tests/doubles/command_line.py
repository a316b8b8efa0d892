"""localagent in a process of its own, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_in(
    folder: Path, *words: str, given: str = "", **env: str
) -> subprocess.CompletedProcess[str]:
    """`localagent WORDS -C folder`, with `given` on stdin and these variables."""
    return subprocess.run(
        [sys.executable, "-m", "localagent", *words, "-C", str(folder)],
        input=given,
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=60,
    )
