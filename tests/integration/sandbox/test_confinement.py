"""What confined commands see, and that tools work inside. The escape tests try to get out."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_fixtures import NewSandbox

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.sandbox import visible_paths
from localagent.sandbox.base import Command, CommandResult, Sandbox
from localagent.sandbox.kinds.unshare import UnshareSandbox
from localagent.sandbox.launcher import namespaces

pytestmark = pytest.mark.sandbox


def python(sandbox: Sandbox, root: Path, code: str, **values: object) -> dict[str, object]:
    """Run `code` in a snapshot; it fills the dictionary `found`, which comes back."""
    text = f"found = {{}}\nvalues = {values!r}\n{textwrap.dedent(code)}\nimport json\n"
    text += "print('RESULT', json.dumps(found))\n"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}"
    with sandbox.open(root) as snapshot:
        done = snapshot.run(Command(line, seconds=60.0))
    assert done.exit_code == 0, done.output
    return json.loads(done.output.rpartition("RESULT ")[2])


def test_secrets_and_our_own_state_are_hidden(
    unshare: UnshareSandbox, project: Path, home: Path
) -> None:
    secrets = [".ssh/id_rsa", ".aws/credentials", ".config/gh/hosts.yml", ".netrc", ".npmrc"]
    secrets += [".git-credentials", ".docker/config.json", ".gnupg/private", ".bash_history"]
    files = [home / name for name in secrets]
    own = (paths.config_dir(), paths.data_dir(), paths.cache_dir(), paths.state_dir())
    files += [folder / "marked" for folder in own]
    # The workspace is the home itself, so nothing but the covers stands between.
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("TOP-SECRET")
    (home / "readable").write_text("hello")
    code = """
    import os
    for path in values["files"]:
        try:
            found[path] = open(path).read()
        except OSError:
            pass
    for place in values["folders"]:
        found[place] = os.listdir(place) if os.path.isdir(place) else []
    """
    names = [str(file) for file in files] + [str(home / "readable")]
    folders = [str(home / ".ssh"), str(home / ".aws"), "/run", *map(str, own)]
    found = python(unshare, home, code, files=names, folders=folders)
    assert found.pop(str(home / "readable")) == "hello"
    assert set(map(str, found.values())) <= {"", "[]"}


def test_process_one_is_out_of_reach(unshare: UnshareSandbox, project: Path) -> None:
    """Process 1 of the namespaces is localagent's. Outside of them the kernel protects another."""
    code = """
    import ctypes, os, signal
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found["pids"] = max(pids) < 200 and len(pids) < 10 and values["agent"] not in pids
    libc = ctypes.CDLL(None, use_errno=True)
    found["ptrace"] = libc.ptrace(16, 1, 0, 0) == 0  # PTRACE_ATTACH
    os.kill(1, signal.SIGKILL)  # the kernel ignores it
    try:
        found["environ"] = open("/proc/1/environ").read()
    except OSError:
        found["environ"] = ""
    try:
        found["device"] = bool(open("/dev/new", "x"))
    except OSError:
        found["device"] = False
    import socket
    found["interfaces"] = [name for _, name in socket.if_nameindex()]
    """
    found = python(unshare, project, code, agent=os.getpid())
    assert found.pop("interfaces") == ["lo"]
    assert found == {"pids": True, "ptrace": False, "environ": "", "device": False}


def test_counting_processes_where_the_kernel_does_not(
    new_sandbox: NewSandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of root before Linux 6.14: process 1 counts, and ends everything above the limit."""
    if os.getuid() != 0:
        pytest.skip("the kernel bounds everyone but root by itself")
    site = Path(namespaces.__file__).parents[3]
    code = (
        f"import sys; sys.path.append({str(site)!r})\n"
        "from localagent.sandbox.launcher import namespaces\n"
        "from localagent.sandbox.launcher import main as launcher\n"
        "namespaces.limit_processes = lambda limit: False\n"
        "launcher.main()"
    )
    monkeypatch.setattr("localagent.sandbox.launcher.client._CODE", code)
    line = "for i in $(seq 60); do sleep 60 & done; echo all; sleep 60"
    with new_sandbox("unshare").open(project) as snapshot:
        few = snapshot.run(Command("sleep 0.2; echo fine", seconds=60.0, processes=20))
        many = snapshot.run(Command(line, seconds=60.0, processes=20))
    assert (few.exit_code, few.output) == (0, "fine\n")
    assert many.exit_code == -9 and not many.timed_out


@pytest.fixture(params=["unshare", "bubblewrap"])
def namespaced(
    request: pytest.FixtureRequest, shared_sandboxes: Callable[[str], Sandbox]
) -> Sandbox:
    return shared_sandboxes(request.param)


def test_pools_and_terminals_work_inside(namespaced: Sandbox, project: Path) -> None:
    code = """
    import os, pty, multiprocessing, tempfile
    leader, follower = pty.openpty()
    found["tty"] = os.isatty(follower)
    with multiprocessing.Pool(2) as pool:
        found["pool"] = pool.map(abs, [-1, -2])
    with tempfile.NamedTemporaryFile() as file:
        found["tmp"] = file.name.startswith("/tmp/")
    found["random"] = len(os.urandom(4))
    found["home"] = os.path.isdir(os.path.expanduser("~"))
    """
    found = python(namespaced, project, code)
    assert found == {"tty": True, "pool": [1, 2], "tmp": True, "random": 4, "home": True}


def test_servers_modes_and_times_work_inside(
    confining: Sandbox, project: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of these go through the broker under Landlock."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(short / "cache"))  # of the snapshot, for its socket
    code = """
    import os, shutil, socket, subprocess, tempfile, threading
    def talk(family, address, type=socket.SOCK_STREAM):
        with socket.socket(family, type) as server:
            server.bind(address)
            server.listen()
            with socket.socket(family) as client:
                client.settimeout(20)
                client.connect(server.getsockname())
                client.sendall(b"hello")
                with server.accept()[0] as other:
                    return other.recv(5) == b"hello"
    tmp = tempfile.mkdtemp()
    found["all"] = talk(socket.AF_INET, ("", 0))
    found["loopback"] = talk(socket.AF_INET, ("127.0.0.1", 0))
    found["name"] = talk(socket.AF_INET, ("localhost", 0))
    found["six"] = not socket.has_ipv6 or talk(socket.AF_INET6, ("::1", 0))
    found["unix"] = talk(socket.AF_UNIX, f"{tmp}/s") and talk(socket.AF_UNIX, "s")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found["refused"] = socket.socket().connect_ex(closed.getsockname()) == 111
    os.chmod("a.txt", 0o640)
    os.chown("a.txt", os.getuid(), os.getgid())
    os.utime("a.txt", (5, 6))
    found["mode"] = oct(os.stat("a.txt").st_mode)[-3:], os.stat("a.txt").st_mtime
    shutil.copy2("a.txt", f"{tmp}/a")
    found["copied"] = os.stat(f"{tmp}/a").st_mtime
    threads = [threading.Thread(target=lambda: found.setdefault("thread", 1)) for _ in range(20)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    found["child"] = subprocess.run(["sh", "-c", "echo $(echo in)"], capture_output=True).returncode
    """
    found = python(confining, project, code)
    assert found.pop("mode") == ["640", 6] and found.pop("copied") == 6
    assert (found.pop("thread"), found.pop("child")) == (1, 0)
    assert all(found.values()) and len(found) == 6


def test_paths_of_the_project_are_understood(confining: Sandbox, project: Path) -> None:
    with confining.open(project) as snapshot:
        done = snapshot.run(Command(f"cat {project}/a.txt; echo y > {project}/new; pwd; id -u"))
        assert done.output.splitlines() == ["a", str(project), str(os.getuid())]
        assert [change.path for change in snapshot.changes()] == ["new"]


@pytest.mark.parametrize("root", ["/", "/tmp", "/proc/self", "/dev"])
def test_folders_of_the_system_are_no_workspaces(unshare: UnshareSandbox, root: str) -> None:
    with pytest.raises(SandboxError, match="workspace"), unshare.open(Path(root)):
        pass


def test_a_set_up_that_fails_is_an_error_of_its_own(
    unshare: UnshareSandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [("keep", "/no/such/folder", False)]
    monkeypatch.setattr("localagent.sandbox.kinds.unshare.mounts", lambda root: broken)
    with pytest.raises(SandboxError, match="/no/such/folder"), unshare.open(project) as snapshot:
        snapshot.run(Command("echo ran"))


def test_a_workspace_that_cannot_be_overlaid_is_copied(
    unshare: UnshareSandbox, project: Path, look: Callable[[Path], dict[str, object]]
) -> None:
    before = look(project)
    unshare.overlay_failed(project)
    with unshare.open(project) as snapshot:
        done = snapshot.run(Command("cat a.txt; echo n > n; rm src/b.py; pwd"))
        assert done.output.startswith("a\n") and done.output.endswith(f"{project}\n")
        assert [change.path for change in snapshot.changes()] == ["n", "src/b.py"]
    assert look(project) == before


def test_a_mount_inside_the_workspace_leads_to_a_copy(
    unshare: UnshareSandbox, tmp_path: Path
) -> None:
    """An overlay cannot cover a mount that a more privileged namespace made."""
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount something")
    root = tmp_path / "w"
    (root / "inner").mkdir(parents=True)
    (root / "f").write_text("f")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", str(root / "inner")])
    if mounted.returncode:
        pytest.skip("cannot mount here")
    try:
        (root / "inner/g").write_text("g")
        with unshare.open(root) as snapshot:
            done = snapshot.run(Command("cat f inner/g; echo h > inner/h"))
            changes = [change.path for change in snapshot.changes()]
        assert (done.output, changes) == ("fg", ["inner/h"])
        assert not (root / "inner/h").exists()
    finally:
        subprocess.run(["umount", str(root / "inner")], check=True)


def test_programs_in_hidden_folders_stay_usable(
    unshare: UnshareSandbox, project: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with node under ~/.config/nvm, or a virtual environment below /tmp."""
    tool = home / ".config/nvm/v1/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_text('#!/bin/sh\ncat "$(dirname "$0")/../lib"\n')
    tool.chmod(0o755)
    (home / ".config/nvm/v1/lib").write_text("found\n")
    (home / ".config/token").write_text("TOP-SECRET")
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    with unshare.open(project) as snapshot:
        done = snapshot.run(Command(f"tool; cat {home}/.config/token; touch {tool.parent}/x"))
    assert done.output.startswith("found\n") and "TOP-SECRET" not in done.output
    assert not (tool.parent / "x").exists()


def test_sockets_that_programs_listen_on_are_known(short: Path) -> None:
    name = short / "with space.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(name))
        server.listen()
        assert str(name) in visible_paths._sockets()


@pytest.mark.parametrize("kind", ["unshare", "bubblewrap"])
def test_a_socket_that_goes_away_stops_no_command(
    kind: str, project: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    if not os.access("/var/cache", os.W_OK):
        pytest.skip("no visible folder here to put a socket into")
    sandbox = shared_sandboxes(kind)
    with tempfile.TemporaryDirectory(prefix="la-", dir="/var/cache") as folder:
        name = Path(folder, "gone.sock")
        done = _with_a_socket_gone(sandbox, project, name)
    assert (done.exit_code, done.output) == (0, "went\n")


def _with_a_socket_gone(sandbox: Sandbox, project: Path, name: Path) -> CommandResult:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(name))
        server.listen()
        with sandbox.open(project) as snapshot:
            name.unlink()
            return snapshot.run(Command("echo went"))
