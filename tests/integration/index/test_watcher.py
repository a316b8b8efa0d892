"""The watcher of files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, sys
from pathlib import Path
from localagent.index.watcher import WatchedFolder, Watcher
Watcher(Path(sys.argv[1]), [WatchedFolder("", True)], print).close()
logging.getLogger("watchdog.observers").error("called when the thread is inactive")
"""


def test_errors_of_watchdog_are_not_printed_on_the_screen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
