"""How often a command's programs reached for other machines, as the sandbox counts it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localagent.errors import SandboxError
from localagent.guard.sandbox.base import Command
from localagent.guard.sandbox.select import make

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="Linux counts"),
]
REACH = """
import socket
for family, host in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind).connect((host, 80))
        except OSError:
            pass
"""
LOCAL = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError:
    pass
"""


@pytest.mark.parametrize(("kind", "count"), [("unshare", 4), ("bubblewrap", 4), ("landlock", 2)])
def test_counted(kind: str, count: int, workspace_dir: Path) -> None:
    (workspace_dir / "reach.py").write_text(REACH)
    (workspace_dir / "local.py").write_text(LOCAL)
    try:
        sandbox = make(kind)
    except SandboxError as error:
        pytest.skip(error.message)
    with sandbox.open(workspace_dir) as view:
        run = f"{sys.executable} -I"
        assert view.run(Command(f"{run} local.py")).refused == 0
        assert view.run(Command(f"{run} reach.py; {run} local.py")).refused == count
        ended = view.run(Command(f"{run} reach.py; sleep 60", seconds=3.0))
        assert (ended.timed_out, ended.refused) == (True, count)
    sandbox.close()
