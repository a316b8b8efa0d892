"""A real command with a few canaries, to see whether a sandbox confines on this machine.

All the canaries, for whoever wants to see them: examine.py.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Sandbox

_SEEN = "canary-is-well"
# Whether the write outside reached the real folder is looked up afterwards: it may go into the
# private /tmp.
_SCRIPT = """
echo changed > file || echo 'the workspace cannot be written'
(echo x > "$OUTSIDE") 2>/dev/null
"$PYTHON" -I -S "$ATTEMPTS" quick "$AGENT" "$NETWORK" "$SOCKET" || echo 'python does not run'
echo canary-is-well
"""


def probe(sandbox: Sandbox) -> str:
    """Why `sandbox` does not work here, or "" where it does."""
    base = paths.private(paths.cache_dir() / "probe")
    with tempfile.TemporaryDirectory(dir=base) as name:
        workspace, outside = Path(name, "workspace"), Path(name, "outside")
        workspace.mkdir()
        (workspace / "file").write_text("kept\n")
        os.mknod(place := Path(name, "socket"), stat.S_IFSOCK | 0o600)
        env = {
            "OUTSIDE": str(outside),
            "AGENT": str(os.getpid()),
            "PYTHON": sys.executable,
            "ATTEMPTS": str(Path(__file__).parents[1] / "selftest" / "attempts" / "run.py"),
            "SOCKET": str(place),
            "NETWORK": os.readlink("/proc/self/ns/net"),  # noqa: PTH115
        }
        try:
            with sandbox.open(workspace) as view:
                done = view.run(Command(_SCRIPT, seconds=20.0, env=env))
                changes = view.changes()
        except SandboxError as error:
            return error.message.removeprefix("the sandbox could not run the command: ")
        if done.output.strip() != _SEEN or done.exit_code:
            return done.output.strip().removesuffix(_SEEN).strip() or "a test command failed"
        if outside.exists() or (workspace / "file").read_text() != "kept\n":
            return "a test command changed files outside its view"
        if [(change.path, change.data) for change in changes] != [("file", b"changed\n")]:
            return "the changes of a test command could not be read"
    with suppress(OSError):
        base.rmdir()
    return ""
