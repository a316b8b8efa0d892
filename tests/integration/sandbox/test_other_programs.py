"""Sockets and pipes of other programs that no list of the kernel names by their path."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes exist on Linux"),
]
PROBE = """
import os, socket, sys, time
folder = sys.argv[1]
def reach(name, kind):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(f"{folder}/{name}")
        s.send(b"x")
for name, kind in (("old", 1), ("old", 5), ("datagram", 2), ("missing", 1)):
    try:
        reach(name, kind)
        print("reached", name)
    except OSError:
        pass
open("started", "w").close()
for _ in range(40):
    try:
        reach("late", 1)
        print("reached late")
        break
    except OSError:
        time.sleep(0.01)
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    os.mkdir("sub")
    server.bind("sub/own")
    server.listen()
    os.chdir("sub")
    client.connect("own")
    print("own")
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
    print("tcp")
"""


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that sandboxes show: not below /tmp."""
    places = [Path("/var/cache"), Path.home(), Path(__file__).parent]
    place = next(path for path in places if os.access(path, os.W_OK))
    with tempfile.TemporaryDirectory(prefix="la-", dir=place) as name:
        yield Path(name)


@pytest.mark.parametrize("kind", CONFINING)
def test_sockets_without_a_path_and_later_ones(
    kind: str, outside: Path, workspace_dir: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    (workspace_dir / "probe.py").write_text(PROBE)
    with contextlib.ExitStack() as stack, contextlib.chdir(outside):
        servers = []

        def bind(name: str, kind: int) -> None:
            server = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            server.bind(name)
            if kind != socket.SOCK_DGRAM:
                server.listen()
            server.setblocking(False)
            servers.append(server)

        bind("old", socket.SOCK_STREAM)
        bind("datagram", socket.SOCK_DGRAM)
        late = threading.Timer(0.1, bind, ("late", socket.SOCK_STREAM))
        late.start()
        command = Command(f"{sys.executable} -I -S probe.py {outside}; cat started")
        with shared_sandboxes(kind).open(workspace_dir) as snapshot:
            done = snapshot.run(command)
        late.join()
        assert done.output == "own\ntcp\n"
        assert "of other programs" in done.blocked_sockets
        for server in servers:
            with pytest.raises(BlockingIOError):
                server.accept() if server.type == socket.SOCK_STREAM else server.recv(1)
