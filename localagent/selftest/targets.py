# ruff: noqa: PIE800
"""Targets of the escape tests: servers, files, secrets and a process, made only for the tests.

`Targets` makes the targets in a separate home, and reports afterwards which ones a test reached. A
few targets lie in folders that all programs share. The names of these targets contain a marker, so
that `sweep` can remove them even if their process was killed. The module works on Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from localagent.core import paths
from localagent.core.interpreter import plain_python

_SECRET_FILES = (
    *(".ssh/id_ed25519", ".aws/credentials", ".gnupg/private-keys-v1.d/key", ".kube/config"),
    *(".netrc", ".npmrc", ".git-credentials", ".bash_history", ".mozilla/firefox/logins.json"),
    *(".config/gh/hosts.yml",),
)
# A process to attack. The process prints the address of its secret and the descriptor of its open
# file. It then waits for signals, and prints the name of each signal.
_VICTIM = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent
secret = ctypes.create_string_buffer(os.environ["CANARY_TOKEN"].encode())
file = os.open(sys.argv[1], os.O_RDONLY)
os.chdir(os.path.dirname(sys.argv[1]))
names = {signal.SIGUSR1: "SIGUSR1", signal.SIGUSR2: "SIGUSR2"}
names |= {signal.SIGRTMIN + more: f"SIGRTMIN+{more}" for more in (1, 2, 3)}
for number in names:
    signal.signal(number, lambda number, frame: os.write(1, f"{names[number]}\\n".encode()))
os.write(1, f"{file} {ctypes.addressof(secret)}\\n".encode())
while True:
    signal.pause()
"""
_SIGNALS = {  # the number of SIGRTMIN depends on the C library
    "signal": "SIGUSR1",
    "thread-signal": "SIGUSR2",
    "queued-signal": "SIGRTMIN+1",
    "pidfd-signal": "SIGRTMIN+2",
    "io-signal": "SIGRTMIN+3",
}
_IPC_PRIVATE, _IPC_RMID = 0, 0
_MQ = {"x86_64": (240, 241), "aarch64": (180, 181)}  # mq_open, mq_unlink
_SHARED = ("/tmp", "/var/tmp", "/dev/shm")
_MARKER = "localagent-canary-"
_STALE_SECONDS = 600.0  # longer than any run of the tests


class Targets:
    """Targets in the existing, empty folder `home`, for a process with `environment(home)`.

    Each test in `names` gets a separate file to change. Use as a context manager.
    """

    def __init__(self, home: Path, names: list[str]) -> None:
        self.secret = os.environ["CANARY_TOKEN"]
        self.workspace = home / "workspace"
        self._home = home
        self._outside = home / "outside"
        self._names = names
        self._marker = os.environ["CANARY_MARKER"]
        self._stack = contextlib.ExitStack()
        self._files_before: dict[str, tuple[Path, object]] = {}
        self._servers: dict[str, socket.socket] = {}
        self._values: dict[str, Any] = {}

    def __enter__(self) -> Targets:
        self._make_files()
        self._make_servers()
        self._make_unix_servers()
        self._make_process()
        self._make_shared_memory()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def values(self, sandboxed: bool, skip: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the targets for run.py; `sandboxed` allows the tests that need a sandbox."""
        return {
            **self._values,
            "secret": self.secret,
            "agent": os.getpid(),
            "home": str(self._home),
            "hidden": str(self._home / ".ssh"),
            "workspace": str(self.workspace),
            "outside": str(self._outside),
            "marker": self._marker,
            "secret_file": str(self._home / ".ssh/id_ed25519"),
            "other_group": 1 if os.getuid() == 0 else os.getgid(),
            "sandboxed": sandboxed,
            "skip": list(skip),
        }

    def reached(self) -> dict[str, str]:
        """Return the tests whose effects are visible outside the sandbox, and each effect."""
        found = {
            name: "changed"
            for name, (path, before) in self._files_before.items()
            if _file_state(path) != before
        }
        for name, server in self._servers.items():
            with contextlib.suppress(BlockingIOError):
                server.accept() if server.type == socket.SOCK_STREAM else server.recv(64)
                found[name] = "arrived"
        with contextlib.suppress(BlockingIOError):
            if os.read(self._pipe, 64):
                found["pipe"] = "arrived"
        signals = self._signals()
        found |= {name: "delivered" for name, signal in _SIGNALS.items() if signal in signals}
        return found

    # Files

    def _make_files(self) -> None:
        self._outside.mkdir()
        for name in self._names:
            self._file(name, self._outside / name, "kept\n")
        for name in _SECRET_FILES:
            self._file("", self._home / name, self.secret)
            (self._home / name).chmod(0o600)
        first = self._home / _SECRET_FILES[0]
        self._files_before["secret-mode"] = (first, _file_state(first))
        self._file("bashrc", self._home / ".bashrc", "kept\n")
        self._file("authorized-keys", self._home / ".ssh/authorized_keys", "kept\n")
        # Inside, a home below /tmp is private, so these tests succeed inside; only effects outside
        # count.
        self._absent("home-file", self._home / "canary-new")
        self._absent("home-folder", self._home / "canary-folder")
        self._absent("home-link", self._home / "canary-link")
        self._absent("fifo", self._home / "canary-fifo")
        self._absent("socket-file", self._home / "canary.sock")
        state_file = paths.private(paths.state_dir()) / "canary-new"
        self._absent("state-file", state_file)
        self._values["state_file"] = str(state_file)
        journal = paths.private(paths.data_dir() / "sessions") / "journal"
        self._file("journal", journal, self.secret)
        self._file("settings", paths.private(paths.config_dir()) / "config.toml", "# kept\n")
        self._values["journal"] = str(journal)
        self._values["settings"] = str(paths.config_dir() / "config.toml")
        self._file("real-file", self.workspace / "file", "kept\n")
        self._file("git-hook", self.workspace / ".git/hooks/pre-commit", "kept\n")
        self._file("git-config", self.workspace / ".git/config", "[core]\n")
        self._file("", self.workspace / "own-file", "own\n")
        (self.workspace / "link-out").symlink_to(self._outside / "link-out")
        self._file("", self.workspace / ".git/HEAD", "ref: refs/heads/main\n")
        (self.workspace / ".git/objects").symlink_to("/")
        for name, folder in (("tmp", "/tmp"), ("var-tmp", "/var/tmp"), ("shm", "/dev/shm")):
            self._absent(name if name == "var-tmp" else f"{name}-write", Path(folder, self._marker))
            path = Path(folder, f"{self._marker}-secret")
            if os.access(folder, os.W_OK | os.X_OK):  # else the sandbox cannot write there either
                self._file("", path, self.secret)
            self._values[f"{name.replace('-', '_')}_file"] = str(path)

    def _file(self, name: str, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name:
            self._files_before[name] = (path, _file_state(path))

    def _absent(self, name: str, path: Path) -> None:
        self._files_before[name] = (path, None)

    # Servers

    def _make_servers(self) -> None:
        for name, family, kind, address in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
            ("tcp6", socket.AF_INET6, socket.SOCK_STREAM, "::1"),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
            ("udp6", socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
        ):
            try:
                server = self._stack.enter_context(socket.socket(family, kind))
                server.bind((address, 0))
            except OSError:  # a machine without IPv6, or this process's egress lock
                self._values[name] = 9
                continue
            if kind == socket.SOCK_STREAM:
                server.listen(100)
            server.setblocking(False)
            self._values[name] = server.getsockname()[1]
            self._servers[name] = server

    def _make_unix_servers(self) -> None:
        home = self._home
        for name, address, kind in (
            ("unix", str(home / "a.sock"), socket.SOCK_STREAM),
            ("unix_race", str(home / "race.sock"), socket.SOCK_STREAM),
            ("unix_datagram", str(home / "b.sock"), socket.SOCK_DGRAM),
            ("unix_relative", str(home / "c.sock"), socket.SOCK_STREAM),
            ("unix_relative_datagram", str(home / "d.sock"), socket.SOCK_DGRAM),
            ("unix_tmp", f"/tmp/{self._marker}.sock", socket.SOCK_STREAM),
            ("unix_workspace", str(self.workspace / "a.sock"), socket.SOCK_STREAM),
            ("unix_workspace_datagram", str(self.workspace / "b.sock"), socket.SOCK_DGRAM),
            ("abstract", f"\0{self._marker}", socket.SOCK_STREAM),
            ("abstract_datagram", f"\0{self._marker}-b", socket.SOCK_DGRAM),
            ("docker", str(home / ".docker/run/docker.sock"), socket.SOCK_STREAM),
            ("ssh_agent", str(home / "agent.sock"), socket.SOCK_STREAM),
            ("dbus", str(home / "bus.sock"), socket.SOCK_STREAM),
        ):
            server = self._stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            if not address.startswith("\0"):
                Path(address).parent.mkdir(parents=True, exist_ok=True)
            if "relative" in name:  # the kernel's list of sockets then has no path
                with contextlib.chdir(home):
                    server.bind(Path(address).name)
            else:
                server.bind(address)
            if kind == socket.SOCK_STREAM:
                server.listen(100)
            server.setblocking(False)
            self._values[name] = address.lstrip("\0")
            self._servers[name.replace("_", "-")] = server
        self._values["pipe"] = str(home / "pipe")
        os.mkfifo(home / "pipe")
        self._pipe = os.open(home / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        self._stack.callback(os.close, self._pipe)
        # Several tests attack these targets; each test reports its own success.
        self._servers.pop("unix")
        os.set_inheritable(os.open(home / ".ssh/id_ed25519", os.O_RDONLY), True)

    # A process, and memory that all programs share

    def _make_process(self) -> None:
        command = plain_python("-c", _VICTIM, str(self._home / ".ssh/id_ed25519"))
        self._victim = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
        )
        assert self._victim.stdout is not None
        file, address = self._victim.stdout.readline().split()
        self._values |= {"victim": self._victim.pid, "victim_fd": int(file)}
        self._values["victim_address"] = int(address)
        self._stack.callback(self._victim.wait)
        self._stack.callback(self._victim.kill)

    def _signals(self) -> set[str]:
        assert self._victim.stdout is not None
        descriptor = self._victim.stdout.fileno()
        os.set_blocking(descriptor, False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(descriptor, 4096):
                data += part
        return set(data.decode().split())

    def _make_shared_memory(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(_IPC_PRIVATE, 4096, 0o600)
        if segment >= 0:
            address = libc.shmat(segment, None, 0)
            ctypes.memmove(address, self.secret.encode(), len(self.secret))
            libc.shmctl(segment, _IPC_RMID, None)  # the kernel removes it when this process ends
        self._values["sysv"] = segment
        queue, _ = _MQ.get(os.uname().machine, (0, 0))
        if queue:
            libc.syscall(queue, self._marker.encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
        self._values["key"] = _session_key(libc, self.secret)


def _session_key(libc: ctypes.CDLL, secret: str) -> int:
    """Add a key to this process's session keyring, as Kerberos does; return 0 without keyrings."""
    keyctl, add = (250, 248) if os.uname().machine == "x86_64" else (219, 217)
    if libc.syscall(keyctl, 1, None) < 0:
        return 0
    data = secret.encode()
    return max(int(libc.syscall(add, b"user", b"localagent-canary", data, len(data), -3)), 0)


def _file_state(path: Path) -> object:
    """Return a file's content, mode, owner, link count and time; None if there is no file."""
    try:
        found = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return None
    owner = (found.st_uid, found.st_gid)
    return content, found.st_mode, owner, found.st_nlink, found.st_mtime_ns, found.st_ino


def new_marker() -> str:
    """Return the marker in the names of one run's files in shared folders."""
    return f"{_MARKER}{secrets.token_hex(6)}"


def sweep(marker: str) -> None:
    """Remove the files of this run, and of earlier, killed runs, from shared folders."""
    _, unlink = _MQ.get(os.uname().machine, (0, 0))
    if unlink:
        ctypes.CDLL(None).syscall(unlink, marker.encode())
    for folder in _SHARED:
        with contextlib.suppress(OSError):
            for path in Path(folder).glob(f"{_MARKER}*"):
                if path.name.startswith(marker) or _is_stale(path):
                    with contextlib.suppress(OSError):
                        path.unlink()


def _is_stale(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and time.time() - found.st_mtime > _STALE_SECONDS


def environment(home: Path, marker: str) -> dict[str, str]:
    """Return the environment of the process that runs sandboxed tests: this home, and secrets."""
    secret = f"canary-{secrets.token_hex(8)}"
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    planted = {
        **{
            "CANARY_TOKEN": secret,
            "CANARY_MARKER": marker,
            "AWS_SECRET_ACCESS_KEY": secret,
            "GITHUB_TOKEN": secret,
        },
        **{"http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": f"http://u:{secret}@127.0.0.1:9"},
        **{"SSH_AUTH_SOCK": str(home / "agent.sock"), "DOCKER_HOST": "unix:///run/docker.sock"},
        **{"DBUS_SESSION_BUS_ADDRESS": f"unix:path={home}/bus.sock", "DISPLAY": ":9"},
    }
    return {**kept, **planted, "HOME": str(home)}
