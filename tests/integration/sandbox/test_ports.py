"""Ports of this machine that commands may reach: these, and nothing besides."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sandbox_fixtures import NewSandbox

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING
from localagent.selftest.runner import run_escape_tests

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are Linux's"),
]
ROOT = Path(__file__).resolve().parents[3]
LARGE = 3_000_000  # bytes: more than what lies in the buffers of all sockets on the way
CLIENT = """
import socket, sys
port, other, udp, six = map(int, sys.argv[1:])
def attempt(name, act):
    try:
        print(name, act())
    except OSError as error:
        print(name, "refused")
def talk(host, port, text=b"x", family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as there:
        there.settimeout(60)
        there.connect((host, port))
        there.sendall(text)
        there.shutdown(socket.SHUT_WR)
        return len(b"".join(iter(lambda: there.recv(65536), b"")))
def send(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.sendto(b"x", ("127.0.0.1", port))
        return "sent"
attempt("open", lambda: talk("127.0.0.1", port))
attempt("large", lambda: talk("127.0.0.1", port, b"x" * LARGE))
attempt("by-name", lambda: len(socket.create_connection(("localhost", port)).recv(0)))
attempt("mapped", lambda: talk("::ffff:127.0.0.1", port, family=socket.AF_INET6))
attempt("other", lambda: talk("127.0.0.1", other))
attempt("six", lambda: talk("::1", six, family=socket.AF_INET6))
attempt("same-port-six", lambda: talk("::1", port, family=socket.AF_INET6))
attempt("other-loopback", lambda: talk("127.0.0.2", port))
attempt("far", lambda: talk("192.0.2.1", port))
attempt("udp", lambda: send(udp))
attempt("udp-same-port", lambda: send(port))
"""


@contextmanager
def echo(host: str = "127.0.0.1") -> Iterator[int]:
    """A server that answers what it is told, once it was told all; its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family)

    def answer(there: socket.socket) -> None:
        with there:
            told = b"".join(iter(lambda: there.recv(65536), b""))
            there.sendall(told)

    def serve() -> None:
        while True:
            try:
                there, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(there,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def run(sandbox: Sandbox, root: Path, line: str) -> str:
    with sandbox.open(root) as snapshot:
        done = snapshot.run(Command(line, seconds=60.0))
    assert not done.timed_out, done.output
    return done.output


@pytest.fixture(params=CONFINING)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_port_leads_to_its_server_and_nothing_else_does(
    kind: str, project: Path, new_sandbox: NewSandbox
) -> None:
    (project / "client.py").write_text(CLIENT.replace("LARGE", str(LARGE)))
    with (
        echo() as port,
        echo() as other,
        echo("::1") as six,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as same,
    ):
        sandbox = new_sandbox(kind, port)
        assert sandbox.ports == (port,)
        udp.bind(("127.0.0.1", 0))
        same.bind(("127.0.0.1", port))
        ports = (port, other, udp.getsockname()[1], six)
        line = " ".join([shlex.quote(sys.executable), "-I", "client.py", *map(str, ports)])
        rows = [row.split() for row in run(sandbox, project, line).splitlines()]
        assert {len(row) for row in rows} == {2}, rows
        said = dict(rows)
        for datagrams in (udp, same):
            datagrams.setblocking(False)
            with pytest.raises(BlockingIOError):
                datagrams.recv(1)
    assert (said["open"], said["large"], said["by-name"]) == ("1", str(LARGE), "0")
    assert said["mapped"] == "1"  # another way to write 127.0.0.1
    closed = ("other", "six", "same-port-six", "other-loopback", "far")
    assert {name: said[name] for name in closed} == dict.fromkeys(closed, "refused")


def test_a_port_without_a_server_fails_at_once_and_no_descriptor_is_inherited(
    kind: str, project: Path, new_sandbox: NewSandbox
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code = f"import socket; socket.create_connection(('127.0.0.1', {port})).recv(1); print('came')"
    listing = "import os; print(sorted(os.listdir('/proc/self/fd')))"
    python = f"{shlex.quote(sys.executable)} -I -S -c"
    line = f"{python} {shlex.quote(listing)}; {python} {shlex.quote(code)}"
    descriptors, _, said = run(new_sandbox(kind, port), project, line).partition("\n")
    assert descriptors == "['0', '1', '2', '3']"  # the last is the listing itself
    assert "ConnectionRefusedError" in said or "ConnectionResetError" in said


def test_no_command_listens_on_an_allowed_port(
    kind: str, project: Path, new_sandbox: NewSandbox
) -> None:
    """Programs of this machine expect a server of the user's there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code = f"import socket; socket.create_server(('127.0.0.1', {port})); print('listens')"
    line = f"{sys.executable} -I -c {shlex.quote(code)}"
    assert "Address already in use" in run(new_sandbox(kind, port), project, line)


def test_nothing_stays_behind(kind: str, project: Path, obstacles: dict[str, str]) -> None:
    if obstacles[kind]:
        pytest.skip(obstacles[kind])
    code = """
        import sys, time
        from pathlib import Path
        from localagent.sandbox.base import Command
        from localagent.sandbox.select import make
        def under(pid):
            found = Path(f"/proc/{pid}/task").glob("*/children")
            names = [word for path in found for word in path.read_text().split()]
            return [*names, *(more for name in names for more in under(name))]
        sandbox = make(sys.argv[1], ports=(int(sys.argv[2]),))
        with sandbox.open(Path(sys.argv[3])) as snapshot:
            snapshot.run(Command("true"))
        sandbox.close()
        until = time.monotonic() + 30
        while under("self") and time.monotonic() < until:
            time.sleep(0.01)
        print("left:", under("self"))
    """
    with echo() as port:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), kind, str(port), str(project)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.stdout == "left: []\n", done.stderr


@pytest.mark.parametrize("kind", (*CONFINING, "none"))
@pytest.mark.parametrize("first", ["namespace", "rules"])
def test_under_the_egress_lock(
    kind: str, first: str, project: Path, obstacles: dict[str, str]
) -> None:
    """Commands reach the port from within the network that the lock leaves; localagent's own code
    does not."""
    if obstacles[kind]:
        pytest.skip(obstacles[kind])
    code = """
        import socket, sys
        from pathlib import Path
        from localagent.egress import lock as egress, kernel_lock
        from localagent.sandbox.base import Command
        from localagent.sandbox.select import make
        kind, port, root, first = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
        if first == "rules":
            kernel_lock._obstacle = lambda: "as in some container"
        state = egress.lock((), (port,))
        print(state.level)
        try:
            socket.create_connection(("127.0.0.1", port))
            print("own code: reached")
        except OSError as error:
            print("own code:", type(error).__name__)
        inside = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).send(b'x'))"
        sandbox = make(kind, ports=(port,))
        with sandbox.open(root) as snapshot:
            print(snapshot.run(Command(f'{sys.executable} -I -c "{inside}"', seconds=60.0)).output)
        sandbox.close()
    """
    with echo() as port:
        arguments = [kind, str(port), str(project), first]
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    level, _, rest = done.stdout.partition("\n")
    if level != {"namespace": "namespace", "rules": "landlock"}[first]:
        pytest.skip(f"no such lock here: {level}")
    if "SandboxError" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert rest.split("\n")[:2] == ["own code: EgressError", "1"], done.stderr


@pytest.mark.slow
def test_the_canaries_are_denied_with_a_port_open(kind: str) -> None:
    folder = Path("/var/cache") if os.access("/var/cache", os.W_OK) else None
    with echo() as port:
        try:
            found = run_escape_tests(kind, folder, ports=(port,))
        except SandboxError as error:
            pytest.skip(error.message)
    assert [canary for canary in found if not canary.denied] == []
