"""How often a command's programs reached for other machines, as the sandbox counts it."""

from __future__ import annotations

import errno
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.sandbox.base import Command, Sandbox

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
def test_counted(
    kind: str, count: int, workspace_dir: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    (workspace_dir / "reach.py").write_text(REACH)
    (workspace_dir / "local.py").write_text(LOCAL)
    look_up = "import socket; socket.getaddrinfo('127.0.0.1', 80); print(1)"
    with shared_sandboxes(kind).open(workspace_dir) as snapshot:
        run = f"{sys.executable} -I -S"
        done = snapshot.run(Command(f'{run} -c "{look_up}"'))  # of this machine's own name
        assert (done.output, done.blocked) == ("1\n", "")
        assert snapshot.run(Command(f"{run} local.py")).blocked_connections == 0
        assert snapshot.run(Command(f"{run} reach.py; {run} local.py")).blocked_connections == count
        ended = snapshot.run(Command(f"{run} reach.py; sleep 60", seconds=2.0))
        assert (ended.timed_out, ended.blocked_connections) == (True, count)


KINDS = """
import os, socket
unix, inet, inet6 = socket.AF_UNIX, socket.AF_INET, socket.AF_INET6
for family, kind, protocol in (
    (inet, socket.SOCK_DGRAM, 0),
    (inet6, socket.SOCK_DGRAM, 0),
    (inet, socket.SOCK_DGRAM, 1),
    (inet, socket.SOCK_RAW, 1),
    (socket.AF_PACKET, socket.SOCK_RAW, 3),
    (inet, socket.SOCK_STREAM, 132),
    (unix, socket.SOCK_DGRAM, 0),
    (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    (socket.AF_NETLINK, socket.SOCK_RAW, 9),
    (38, socket.SOCK_SEQPACKET, 0),
    (inet, socket.SOCK_STREAM, 0),
    (unix, socket.SOCK_STREAM, 0),
):
    try:
        socket.socket(family, kind, protocol).close()
    except OSError as error:
        print(error.errno, end=" ")
    else:
        print("made", end=" ")
for address in (os.environ["OUTSIDE"], "\\0abstract", "nobody.sock"):
    try:
        socket.socket(unix).connect(address)
    except OSError as error:
        print(error.errno, end=" ")
try:
    socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", 9))
except OSError as error:
    print(error.errno)
"""


def test_landlock_tells_which_sockets_it_refused(
    workspace_dir: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    (workspace_dir / "kinds.py").write_text(KINDS)
    sandbox = shared_sandboxes("landlock")
    outside = tempfile.mkdtemp(dir="/tmp")
    with socket.socket(socket.AF_UNIX) as there, sandbox.open(workspace_dir) as snapshot:
        there.bind(f"{outside}/s")
        there.listen()
        done = snapshot.run(
            Command(f"{sys.executable} -I kinds.py", env={"OUTSIDE": f"{outside}/s"})
        )
    shutil.rmtree(outside)
    refused = [errno.EACCES] * 4 + [errno.EAFNOSUPPORT] + [errno.EACCES] * 2
    refused += [errno.EAFNOSUPPORT] * 3
    connects = [errno.EPERM, errno.EACCES, errno.ENOENT, errno.EOPNOTSUPP]
    assert done.output.split() == [*map(str, refused), "made", "made", *map(str, connects)]
    assert done.blocked_connections == 0
    assert done.blocked_sockets == (
        "1 ICMP, 1 SCTP, 2 UDP, 1 fast open, 1 netlink, 2 of other programs, 1 other, 2 raw, "
        "1 unix datagram"
    )
    assert done.blocked == f"use forbidden sockets ({done.blocked_sockets})"
