"""What a confined command cannot do. Every canary is a real attempt."""

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
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sandbox_fixtures import working

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.sandbox import visible_paths
from localagent.sandbox.base import Command, Completed, Sandbox
from localagent.sandbox.kernel import namespaces
from localagent.sandbox.kinds.unshare import UnshareSandbox

pytestmark = pytest.mark.sandbox


def python(sandbox: Sandbox, root: Path, code: str, **values: object) -> dict[str, object]:
    """Run `code` in a view; it fills the dictionary `found`, which comes back."""
    text = f"found = {{}}\nvalues = {values!r}\n{textwrap.dedent(code)}\nimport json\n"
    text += "print('RESULT', json.dumps(found))\n"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}"
    with sandbox.open(root) as view:
        done = view.run(Command(line, seconds=60.0))
    assert done.exit_code == 0, done.output
    return json.loads(done.output.rpartition("RESULT ")[2])


def test_no_network(unshare: UnshareSandbox, project: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        tcp.setblocking(False)
        code = """
        import socket
        def attempt(name, function):
            try:
                function()
            except OSError as error:
                found[name] = type(error).__name__
            else:
                found[name] = "reached"
        def send(family, address):
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.sendto(b"x", address)
        def connect(*address):
            socket.create_connection(address, timeout=5).close()
        attempt("host", lambda: connect("127.0.0.1", values["tcp"]))
        attempt("tcp", lambda: connect("192.0.2.1", 80))
        attempt("tcp6", lambda: connect("2001:db8::1", 80))
        attempt("udp", lambda: send(socket.AF_INET, ("192.0.2.1", 53)))
        attempt("udp6", lambda: send(socket.AF_INET6, ("2001:db8::1", 53)))
        attempt("dns", lambda: socket.getaddrinfo("example.com", 80))
        attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
        attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        send(socket.AF_INET, ("127.0.0.1", values["udp"]))
        with socket.create_server(("127.0.0.1", 0)) as own:
            attempt("own", lambda: connect(*own.getsockname()))
        found["interfaces"] = [name for _, name in socket.if_nameindex()]
        """
        ports = {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1]}
        found = python(unshare, project, code, **ports)
        for server in (lambda: tcp.accept(), lambda: udp.recv(1)):
            with pytest.raises(BlockingIOError):
                server()
    assert found.pop("own") == "reached"
    assert found.pop("interfaces") == ["lo"]
    assert "reached" not in found.values() and len(found) == 8


@pytest.mark.parametrize("kind", ["stream", "datagram", "abstract"])
@pytest.mark.parametrize("where", ["tmp", "workspace", "visible"])
def test_no_unix_sockets_of_other_programs(
    unshare: UnshareSandbox,
    short: Path,
    kind: str,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if where == "visible":  # as a folder outside /tmp is
        monkeypatch.setattr(visible_paths, "_TMP", ("/var/tmp",))
        monkeypatch.setattr("localagent.sandbox.kinds.unshare._HOME", "/var/tmp/home")
    root = short / "project"
    root.mkdir()
    folder = {"tmp": Path("/tmp"), "workspace": root, "visible": short}[where]
    name = str(folder / f"{short.name}.sock")
    address = f"\0{name}" if kind == "abstract" else name
    type_ = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    with socket.socket(socket.AF_UNIX, type_) as server:
        server.bind(address)
        try:
            if kind != "datagram":
                server.listen()
            code = """
            import socket
            with socket.socket(socket.AF_UNIX, values["type"]) as s:
                try:
                    s.connect(values["address"])
                    found["reached"] = True
                except OSError:
                    found["reached"] = False
            """
            found = python(unshare, root, code, address=address, type=int(type_))
        finally:
            Path(name).unlink(missing_ok=True)
    assert found == {"reached": False}


def test_nothing_outside_can_be_written(
    unshare: UnshareSandbox, project: Path, home: Path, look: Callable[[Path], dict[str, object]]
) -> None:
    places = [home, project.parent, paths.private(paths.state_dir()), Path(__file__).parent]
    ours = "localagent/scratch"  # the sandbox itself works there

    def seen() -> list[object]:
        found = [look(place) for place in places if place != project.parent]
        return [
            {k: v for k, v in each.items() if ours not in k and k != ".cache/localagent"}
            for each in found
        ]

    before = seen()
    tried = [*map(str, places), "/", "/etc", "/usr", "/usr/bin", "/var", "/proc/sys/kernel", "/dev"]
    tried += ["/sys", "/run", str(Path(sys.prefix))]
    code = """
    import os
    for place in values["tried"]:
        for name, act in {
            "make": lambda path: open(path, "x").close(),
            "folder": os.mkdir,
            "link": lambda path: os.symlink("x", path),
        }.items():
            try:
                act(os.path.join(place, values["canary"] + name))
            except OSError:
                pass
    for path in ("/etc/passwd", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/bin/sh"):
        try:
            open(path, "ab").close()
            found[path] = "writable"
        except OSError:
            pass
        try:
            os.chmod(path, os.stat(path).st_mode & 0o7777)  # no change, should it be let through
            found[path] = "modes"
        except OSError:
            pass
    found["devices"] = sorted(os.listdir("/dev"))
    try:
        os.mknod("/tmp/disk", 0o60666, os.makedev(254, 0))
        found["mknod"] = True
    except OSError:
        pass
    """
    canary = f"localagent-canary-{os.getpid()}-"
    found = python(unshare, project, code, tried=tried, canary=canary)
    made = [path for place in tried for path in Path(place).glob(f"{canary}*")]
    for path in made:  # a sandbox that fails must not leave marks on the machine
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert made == []
    assert not {"vda", "sda", "mem", "kmsg", "kvm", "fuse"} & set(found.pop("devices"))
    assert found == {}
    assert seen() == before


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
    unshare.close()  # its scratch lies in the workspace, and must move
    found = python(unshare, home, code, files=names, folders=folders)
    assert found.pop(str(home / "readable")) == "hello"
    assert set(map(str, found.values())) <= {"", "[]"}


def test_system_secrets_are_hidden(unshare: UnshareSandbox, project: Path) -> None:
    with unshare.open(project) as view:
        done = view.run(Command("cat /etc/shadow /etc/gshadow; ls -A /run /etc/ssh 2>/dev/null"))
    assert "root:" not in done.output


def test_the_agent_cannot_be_seen_or_touched(unshare: UnshareSandbox, project: Path) -> None:
    code = """
    import ctypes, os, signal
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found["pids"] = max(pids) < 200 and len(pids) < 10
    try:
        os.kill(values["agent"], 0)
        found["signal"] = values["agent"] in pids
    except OSError:
        found["signal"] = False
    libc = ctypes.CDLL(None, use_errno=True)
    found["ptrace"] = libc.ptrace(16, 1, 0, 0) == 0  # PTRACE_ATTACH to process 1
    os.kill(1, signal.SIGKILL)  # ignored: process 1 belongs to us
    try:
        found["environ"] = open("/proc/1/environ").read()
    except OSError:
        found["environ"] = ""
    """
    found = python(unshare, project, code, agent=os.getpid())
    assert found == {"pids": True, "signal": False, "ptrace": False, "environ": ""}


def test_no_privileges(unshare: UnshareSandbox, project: Path) -> None:
    code = """
    import ctypes, os
    status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines()
                  if ":\\t" in line)
    found["caps"] = int(status["CapEff"], 16) | int(status["CapBnd"], 16)
    found["nnp"] = status["NoNewPrivs"].strip()
    libc = ctypes.CDLL(None, use_errno=True)
    found["users"] = libc.unshare(0x10000000) == 0
    found["mounts"] = libc.unshare(0x00020000) == 0
    found["umount"] = libc.umount2(values["mount"].encode(), 2) == 0
    found["remount"] = libc.mount(b"", b"/", b"", 0x20 | 0x1000, b"") == 0
    found["chroot"] = libc.chroot(b"/tmp") == 0
    found["uid"] = os.getuid()
    """
    found = python(unshare, project, code, mount=str(project))
    # CHOWN, DAC_OVERRIDE, FOWNER and FSETID, for root alone.
    assert found.pop("caps") == (0b11011 if os.getuid() == 0 else 0)
    assert found.pop("nnp") == "1" and found.pop("uid") == os.getuid()
    assert not any(found.values()), found


def test_fork_bombs_are_bounded(unshare: UnshareSandbox, project: Path) -> None:
    code = """
    import os, time
    count = 0
    try:
        while count < 1000:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            count += 1
    except OSError:
        pass
    print("count", count)
    """
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(textwrap.dedent(code))}"
    with unshare.open(project) as view:
        done = view.run(Command(line, seconds=60.0, processes=320))
        bomb = view.run(Command("b() { b | b & }; b; sleep 2", seconds=1.0, processes=320))
    # Process 1, its kin and some reserved numbers count as well; an older kernel kills instead.
    assert done.exit_code == -9 or 10 <= int(done.output.split()[-1]) <= 320
    assert bomb.timed_out or bomb.exit_code != 0


def test_counting_processes_where_the_kernel_does_not(
    unshare: UnshareSandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of root before Linux 6.14: process 1 counts, and ends everything above the limit."""
    if os.getuid() != 0:
        pytest.skip("the kernel bounds everyone but root by itself")
    site = Path(namespaces.__file__).parents[3]
    code = (
        f"import sys; sys.path.append({str(site)!r})\n"
        "from localagent.sandbox.kernel import namespaces\n"
        "from localagent.sandbox.launcher import main as launcher\n"
        "namespaces.limit_processes = lambda limit: False\n"
        "launcher.main()"
    )
    monkeypatch.setattr("localagent.sandbox.launcher.client._CODE", code)
    unshare.close()
    line = "for i in $(seq 60); do sleep 60 & done; echo all; sleep 60"
    with unshare.open(project) as view:
        few = view.run(Command("sleep 0.2; echo fine", seconds=60.0, processes=20))
        many = view.run(Command(line, seconds=60.0, processes=20))
    assert (few.exit_code, few.output) == (0, "fine\n")
    assert many.exit_code == -9 and not many.timed_out


def test_kernel_keys_are_out_of_reach(unshare: UnshareSandbox, project: Path) -> None:
    """A key in the session keyring, as Kerberos and file encryption keep them."""
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers of the calls are those of x86_64")
    # With a session keyring of its own the process hands it down to all that it starts.
    agent = r"""
    import ctypes, sys
    from pathlib import Path
    from localagent.sandbox.base import Command
    from localagent.sandbox.kinds.plain import PlainSandbox
    from localagent.sandbox.kinds.unshare import UnshareSandbox
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(250, 1, None) < 0:
        sys.exit("no keyrings here")
    key = libc.syscall(248, b"user", b"localagent-canary", b"TOP-SECRET", 10, -3)
    search = f'''
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(100)
    libc.syscall(250, 11, {key}, buffer, 100, 0)
    print("key:", buffer.value.decode())
    '''
    line = f"'{sys.executable}' - <<'END'\n" + "\n".join(map(str.strip, search.splitlines()))
    for sandbox in (PlainSandbox(), UnshareSandbox()):
        with sandbox.open(Path(sys.argv[1])) as view:
            print(view.run(Command(line + "\nEND\n")).output.strip())
    """
    code = textwrap.dedent(agent)
    root = str(Path(visible_paths.__file__).parents[3])
    arguments = [sys.executable, "-c", code, str(project)]
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    if "no keyrings here" in done.stderr:
        pytest.skip("no keyrings here")
    assert done.stdout.splitlines() == ["key: TOP-SECRET", "key:"], done.stderr


def test_tmp_is_private(unshare: UnshareSandbox, project: Path) -> None:
    marker = Path(f"/tmp/localagent-marker-{os.getpid()}")
    own = [Path(folder, f"localagent-own-{os.getpid()}") for folder in ("/tmp", "/dev/shm")]
    marker.write_text("x")
    try:
        with unshare.open(project) as view:
            line = f"ls /tmp; echo y | tee {own[0]} {own[1]}; cat {own[0]}"
            done = view.run(Command(line))
        assert marker.name not in done.output and done.output.endswith("y\ny\n")
        assert not [path for path in own if path.exists()]
    finally:
        for path in (marker, *own):
            path.unlink(missing_ok=True)


@pytest.fixture(params=["unshare", "bubblewrap"])
def namespaced(request: pytest.FixtureRequest, home: Path) -> Iterator[Sandbox]:
    sandbox = working(request.param, home / "first")
    yield sandbox
    sandbox.close()


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
    monkeypatch.setenv("XDG_CACHE_HOME", str(short / "cache"))  # of the view, for its socket
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
    with confining.open(project) as view:
        done = view.run(Command(f"cat {project}/a.txt; echo y > {project}/new; pwd; id -u"))
        assert done.output.splitlines() == ["a", str(project), str(os.getuid())]
        assert [change.path for change in view.changes()] == ["new"]


def test_limits_on_all_processes_together_are_told(confining: Sandbox, project: Path) -> None:
    hungry = f"{shlex.quote(sys.executable)} -c 'x = bytearray(b\"x\") * (60 << 20); input()'"
    line = f"for i in 1 2 3 4; do sleep 30 | {hungry} & done; wait"
    with confining.open(project) as view:
        done = view.run(Command(line, seconds=60.0, total_memory_bytes=128 << 20))
        assert done.exit_code == -9 and "128 MiB of memory" in done.stopped and not done.timed_out
        line = "while :; do head -c 1000000 /dev/zero >> f; done"
        done = view.run(Command(line, seconds=60.0, disk_bytes=8 << 20))
        assert "8 MiB to the disk" in done.stopped
        assert view.run(Command("rm f; echo well")).output == "well\n"


@pytest.mark.parametrize("root", ["/", "/tmp", "/proc/self", "/dev"])
def test_folders_of_the_system_are_no_workspaces(unshare: UnshareSandbox, root: str) -> None:
    with pytest.raises(SandboxError, match="workspace"), unshare.open(Path(root)):
        pass


def test_a_set_up_that_fails_is_an_error_of_its_own(
    unshare: UnshareSandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [("keep", "/no/such/folder", False)]
    monkeypatch.setattr("localagent.sandbox.kinds.unshare.places", lambda root: broken)
    with pytest.raises(SandboxError, match="/no/such/folder"), unshare.open(project) as view:
        view.run(Command("echo ran"))


def test_a_workspace_that_cannot_be_overlaid_is_copied(
    unshare: UnshareSandbox, project: Path, look: Callable[[Path], dict[str, object]]
) -> None:
    before = look(project)
    unshare.overlay_failed(project)
    with unshare.open(project) as view:
        done = view.run(Command("cat a.txt; echo n > n; rm src/b.py; pwd"))
        assert done.output.startswith("a\n") and done.output.endswith(f"{project}\n")
        assert [change.path for change in view.changes()] == ["n", "src/b.py"]
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
        with unshare.open(root) as view:
            done = view.run(Command("cat f inner/g; echo h > inner/h"))
            changes = [change.path for change in view.changes()]
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
    with unshare.open(project) as view:
        done = view.run(Command(f"tool; cat {home}/.config/token; touch {tool.parent}/x"))
    assert done.output.startswith("found\n") and "TOP-SECRET" not in done.output
    assert not (tool.parent / "x").exists()


def test_sockets_that_programs_listen_on_are_known(short: Path) -> None:
    name = short / "with space.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(name))
        server.listen()
        assert str(name) in visible_paths._sockets()


@pytest.mark.parametrize("kind", ["unshare", "bubblewrap"])
def test_a_socket_that_goes_away_stops_no_command(kind: str, project: Path, home: Path) -> None:
    if not os.access("/var/cache", os.W_OK):
        pytest.skip("no visible folder here to put a socket into")
    sandbox = working(kind, home / "first")
    with tempfile.TemporaryDirectory(prefix="la-", dir="/var/cache") as folder:
        name = Path(folder, "gone.sock")
        done = _with_a_socket_gone(sandbox, project, name)
    sandbox.close()
    assert (done.exit_code, done.output) == (0, "went\n")


def _with_a_socket_gone(sandbox: Sandbox, project: Path, name: Path) -> Completed:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(name))
        server.listen()
        with sandbox.open(project) as view:
            name.unlink()
            return view.run(Command("echo went"))
