"""The egress lock, in processes of their own: it cannot be taken off again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.config.settings import Settings
from localagent.egress.blocked import BlockedConnection, BlockedConnections
from tests.doubles.command_line import run_in
from tests.doubles.ollama_server import DIGEST, Ollama, Pulled
from tests.doubles.project_python import project_bin

ROOT = Path(__file__).resolve().parents[3]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
# What each attempt is, and what the record must say of it.
ATTEMPTS = {
    "socket.create_connection(('192.0.2.1', 80), 1)": "connect to 192.0.2.1:80",
    "socket.create_connection(('127.0.0.1', 9), 1)": "connect to 127.0.0.1:9",
    "socket.socket(socket.AF_INET6).connect(('::1', 9))": "connect to ::1:9",
    "socket.socket(socket.AF_INET6).connect_ex(('2001:db8::1', 9))": "connect to 2001:db8::1:9",
    "UDP.sendto(b'x', ('127.0.0.53', 53))": "send to 127.0.0.53:53",
    "UDP.sendmsg([b'x'], [], 0, ('192.0.2.1', 53))": "send to 192.0.2.1:53",
    "UDP.bind(('0.0.0.0', 0))": "bind 0.0.0.0:0",
    "UDP.bind(('', 0))": "bind :0",
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)": "open a socket of family 2, type 3",
    "socket.socket(17)": "open a socket of family 17, type 1",
    "__import__('_socket').socket(40, 1)": "open a socket of family 40, type 1",
    "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')": "connect to /run/docker.sock",
    "socket.getaddrinfo('example.org', 80)": "look up example.org",
    "socket.getaddrinfo(b'localhost', 80)": "look up localhost",
    "socket.gethostbyname('example.org')": "look up example.org",
    "socket.gethostbyname_ex('example.org')": "look up example.org",
    "socket.gethostbyaddr('192.0.2.1')": "look up 192.0.2.1",
    "socket.getnameinfo(('192.0.2.1', 80), 0)": "look up 192.0.2.1:80",
    "urllib.request.urlopen('http://example.org', timeout=1)": "look up example.org",
    "http.client.HTTPSConnection('192.0.2.1').request('GET', '/')": "connect to 192.0.2.1:443",
    "__import__('httpx').get('http://192.0.2.1')": "connect to 192.0.2.1:80",
    "asyncio.run(asyncio.open_connection('192.0.2.1', 80))": "connect to 192.0.2.1:80",
    "sys.audit('webbrowser.open', 'http://example.org')": "open http://example.org",
    "IN_THREAD(lambda: socket.create_connection(('192.0.2.1', 80), 1))": "connect to 192.0.2.1:80",
    "exec(compile('socket.gethostbyname(\"a.b\")', 'plugin.py', 'exec'))": "look up a.b",
}
TRY = """
import asyncio, http.client, json, os, socket, sys, threading, urllib.request
from localagent.egress import lock as egress
from localagent.egress.blocked import BLOCKED
state = egress.lock(kernel=sys.argv[1] == "kernel")
UDP = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def IN_THREAD(body):
    threading.excepthook = lambda _: None
    thread = threading.Thread(target=body, name="library")
    thread.start()
    thread.join()
said = []
for code in json.loads(sys.argv[2]):
    before = len(BLOCKED.entries())
    try:
        eval(code)
        error = ""
    except Exception as caught:
        error = type(caught).__name__
    new = [(f"{a.action} {a.target}", a.thread, a.caller) for a in BLOCKED.entries()[before:]]
    said.append((code, error, new))
print(json.dumps({"level": state.level, "said": said}))
"""


def python(code: str, *arguments: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("how", ["process", pytest.param("kernel", marks=LINUX)])
def test_every_attempt_is_refused_and_recorded(how: str) -> None:
    report = json.loads(python(TRY, how, json.dumps(list(ATTEMPTS))))
    if how == "process":
        assert report["level"] == "process"
    for code, error, new in report["said"]:
        assert new, f"{code} was not recorded"
        assert new[0][0] == ATTEMPTS[code]
        assert error or "IN_THREAD" in code or "connect_ex" in code, code
        assert new[0][1] == ("library" if "IN_THREAD" in code else "MainThread")
    places = {code: new[0][2] for code, _, new in report["said"]}
    assert places["socket.gethostbyname('example.org')"].startswith("<string>:")
    assert next(v for k, v in places.items() if "plugin.py" in k) == "plugin.py:1"


def test_what_is_needed_goes_on_working() -> None:
    code = """
import asyncio, json, multiprocessing.connection, os, socket, subprocess, sys
from localagent.egress import lock as egress
from localagent.egress.blocked import BLOCKED
egress.lock()
one, other = socket.socketpair()
one.sendall(b"x")
assert other.recv(1) == b"x"
assert socket.getaddrinfo("127.0.0.1", 80) and socket.getaddrinfo("::1", 80)
assert subprocess.run(["git", "--version"], capture_output=True).returncode == 0
async def nothing(): pass
asyncio.run(nothing())
listening = socket.socket(); listening.bind(("127.0.0.1", 0))
assert BLOCKED.entries() == ()
"""
    python(code)


def test_a_second_call_widens_nothing_and_proxies_are_forgotten() -> None:
    code = """
import os, socket, sys
from localagent.egress import lock as egress
first = egress.lock()
assert egress.lock((egress.Destination("192.0.2.1", 80),), kernel=False) is first
assert not [name for name in os.environ if "proxy" in name.lower()]
egress._INTERNET = ()
egress._resolve = egress._ip_address = egress.is_loopback = lambda *_: True
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    print(type(error).__name__)
"""
    proxies = {"HTTPS_PROXY": "http://127.0.0.1:3128", "all_proxy": "socks5://127.0.0.1:1080"}
    assert python(code, **proxies).strip() == "EgressError"


@LINUX
@pytest.mark.sandbox
def test_the_kernel_holds_native_code_and_children() -> None:
    """Calls that no audit hook sees, here and in a child: there is no route to anywhere."""
    code = """
import ctypes, errno, os, socket, struct, subprocess, sys
from localagent.egress import lock as egress
state = egress.lock()
if state.level != "namespace":
    print("skip", state.reason); sys.exit()
libc = ctypes.CDLL(None, use_errno=True)
for kind in (1, 2):
    number = libc.socket(2, kind, 0)
    target = struct.pack("=HH4s8x", 2, socket.htons(53), bytes([192, 0, 2, 1]))
    assert libc.connect(number, target, 16) == -1
    assert ctypes.get_errno() == errno.ENETUNREACH
child = '''
import socket
print(socket.if_nameindex())
for kind in (1, 2):
    try:
        socket.socket(socket.AF_INET, kind).connect(("192.0.2.1", 53))
    except OSError as error:
        print(error.errno)
'''
done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
print(done.stdout)
"""
    said = python(code)
    if said.startswith("skip"):
        pytest.skip(said)
    assert said.split() == ["[(1,", "'lo')]", "101", "101"]


RULES = """
import ctypes, errno, os, socket, subprocess, sys
from localagent.egress import kernel_lock
allowed = int(sys.argv[1])
try:
    if kernel_lock.restrict([allowed]) < 4: print('skip: no rules for TCP'); sys.exit()
except OSError as error:
    print("skip", error); sys.exit()
child = r'''
import ctypes, errno, os, socket, sys
allowed = int(sys.argv[1])
def refusal(body, *wanted):
    try:
        body()
    except OSError as error:
        assert error.errno in wanted, error
        print("refused")
    else:
        print("DONE", body)
inet, dgram, stream = socket.AF_INET, socket.SOCK_DGRAM, socket.SOCK_STREAM
new, no = socket.socket, (errno.EACCES, errno.EPERM)
refusal(lambda: new(inet, dgram), *no)
refusal(lambda: new(socket.AF_INET6, dgram), *no)
refusal(lambda: new(inet, socket.SOCK_RAW, 1), *no)
refusal(lambda: new(inet, stream, 262), *no)
refusal(lambda: new(socket.AF_PACKET, dgram), *no)
refusal(lambda: new(40, stream), *no)
refusal(lambda: new(43, stream), *no)
refusal(lambda: new().connect(("127.0.0.1", allowed + 1)), *no)
refusal(lambda: new(socket.AF_INET6).connect(("::1", allowed + 1)), *no)
refusal(lambda: new().bind(("127.0.0.1", 0)) or new().bind(("127.0.0.1", allowed + 1)), *no)
refusal(lambda: new().sendto(b"x", 0x20000000, ("127.0.0.1", allowed)), *no)
refusal(lambda: new().sendmsg([b"x"], [], 0x20000000, ("127.0.0.1", allowed)), *no)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(425, 1, ctypes.create_string_buffer(200)) == -1
assert ctypes.get_errno() == errno.ENOSYS
with new() as there:
    there.connect(("127.0.0.1", allowed))
    there.sendall(b"GET /api/version HTTP/1.0\\r\\n\\r\\n")
    assert b"version" in b"".join(iter(lambda: there.recv(4096), b""))
one, other = socket.socketpair()
one.send(b"x")
'''
done = subprocess.run([sys.executable, "-c", child, sys.argv[1]], capture_output=True, text=True)
print(done.stdout + done.stderr)
"""


@LINUX
@pytest.mark.sandbox
def test_without_namespaces_rules_leave_the_servers_port_only() -> None:
    with Ollama() as server:
        said = python(RULES, server.url.rpartition(":")[2])
    if said.startswith("skip"):
        pytest.skip(said)
    assert said.split() == ["refused"] * 12


class TestProxy:
    LOCK = f"""
version = 1
default = "toy"
[[model]]
id = "toy"
backend = "ollama"
name = "toy:1b"
digest = "{DIGEST}"
"""

    @pytest.fixture
    def lock(self, home: Path) -> None:
        folder = home / ".config/localagent"
        folder.mkdir(parents=True)
        (folder / "models.lock").write_text(self.LOCK)

    @pytest.mark.usefixtures("lock")
    def test_the_server_is_asked_through_it(self) -> None:
        with Ollama() as server:
            server.models = [Pulled("toy:1b")]
            done = self.verify(server.url)
            assert done.returncode == 0, done.stderr
            assert "as pinned: toy" in done.stdout
            assert server.seen

    @pytest.mark.usefixtures("lock")
    def test_nobody_behind_it_is_told_as_without_it(self) -> None:
        with Ollama() as server:
            url = server.url
        done = self.verify(url)
        assert done.returncode == 4
        assert f"no Ollama server answers at {url}" in done.stderr

    @pytest.mark.usefixtures("lock")
    def test_a_server_elsewhere_gets_none(self) -> None:
        done = self.verify("http://192.0.2.1:11434")
        assert done.returncode == 3
        assert "is not on this machine" in done.stderr

    def verify(self, url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "localagent", "models", "verify", "toy"],
            env={**os.environ, "LOCALAGENT_OLLAMA_HOST": url},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @LINUX
    def test_it_leads_to_its_server_only_and_ends_with_its_parent(self) -> None:
        code = """
import os, socket, sys
from localagent.egress import lock as egress
state = egress.lock((egress.Destination("127.0.0.1", int(sys.argv[1])),))
if state.level != "namespace":
    print("skip", state.reason); sys.exit()
(proxy,) = state.proxies.values()
def get(path):
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(proxy)
        there.sendall(f"GET {path} HTTP/1.0\\r\\nHost: elsewhere.example\\r\\n\\r\\n".encode())
        return b"".join(iter(lambda: there.recv(4096), b""))
assert b"version" in get("/api/version")
assert b"403" in get("http://192.0.2.1/api/version")
assert b"403" in get("/api/push")
try:
    socket.socket(socket.AF_UNIX).connect(proxy + "x")
except OSError as error:
    assert type(error).__name__ == "EgressError"
with open("/proc/self/task/%d/children" % os.getpid()) as file:
    print(file.read())
"""
        with Ollama() as server:
            said = python(code, server.url.rpartition(":")[2])
        if said.startswith("skip"):
            pytest.skip(said)
        (proxy,) = map(int, said.split())
        until = time.monotonic() + 10
        while Path(f"/proc/{proxy}").exists() and time.monotonic() < until:
            time.sleep(0.01)
        assert not Path(f"/proc/{proxy}").exists()


def test_a_session_warns_of_what_was_refused(workspace_dir: Path) -> None:
    from localagent.core.events import SessionStarted, Warned
    from localagent.egress.blocked import BLOCKED as made
    from localagent.models.scripted import ScriptedModel
    from localagent.project.project import Project
    from localagent.session.factory import open_session

    made.drain()
    with open_session(Project.open(workspace_dir), model=ScriptedModel([])) as session:
        events = []
        for event in session.run("what is calc.py for?"):
            if not events:
                made.record(
                    BlockedConnection("connect to", "192.0.2.1:80", "library", "plugin.py:3", 0.0)
                )
            events.append(event)
    assert isinstance(events[0], SessionStarted)
    warned = [event.text for event in events if isinstance(event, Warned)]
    said = "the egress lock refused to connect to 192.0.2.1:80 (plugin.py:3, thread library)"
    assert warned.count(said) == 1


def test_attempts_are_told_to_listeners_and_once_to_the_user() -> None:
    attempts, heard = BlockedConnections(), []
    leave = attempts.subscribe(heard.append)
    first = BlockedConnection("look up", "a.example", "MainThread", "x.py:1", 1.0)
    attempts.record(first)
    leave()
    attempts.record(BlockedConnection("look up", "b.example", "MainThread", "x.py:2", 2.0))
    assert heard == [first]
    assert [a.target for a in attempts.drain()] == ["a.example", "b.example"]
    assert attempts.drain() == ()
    assert len(attempts.entries()) == 2


@LINUX
@pytest.mark.sandbox
def test_a_locked_session_still_has_its_sandbox(workspace_dir: Path) -> None:
    """The whole main job inside the lock: candidates are checked in the sandbox."""
    replies = workspace_dir.parent / "replies.txt"
    replies.write_text("--- reply repeat = true\ndef add(a, b):\n    return a + b\n```\n")
    check = f"{project_bin() / 'python'} -m pytest -q calc_test.py"
    done = run_in(
        workspace_dir,
        *("run", "fix add in calc.py", "--json", "--yes", "--check", check),
        *("--scripted", str(replies)),
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    started = events[0]
    assert started["type"] == "session_started"
    assert started["egress"].startswith(("kernel: ", "in this process only"))
    assert events[-1]["outcome"] == "solved", done.stdout[-3000:] + done.stderr
    assert Settings().ollama_host not in started["egress"]
