"""The `Sandbox` protocol: run commands in snapshots of the workspace.

Every command runs in a `Snapshot` of the workspace: an overlay, or a copy if overlays do not work.
The command can write anything in the snapshot, and `changes()` returns what the command changed.
The caller decides whether to apply these changes to the real workspace, through a checkpoint. So a
check of a candidate never touches the user's files, and a shell command can be undone exactly.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from localagent.core.changes import Change

_REFUSED = re.compile(r"refused|ECONNREFUSED|permission denied|EACCES", re.I)
# Addresses in error messages: "127.0.0.1:5432" (Go, node, redis), 'at "localhost" (127.0.0.1), port
# 5432' (Postgres), "host='localhost', port=5432" (urllib3).
_ENDPOINT = re.compile(
    r"(?:127\.0\.0\.1|localhost|\[?::1\]?)['\")]{0,2}"
    r"(?::|(?: \([^)\n]{1,40}\))?,? port[ =])(\d{4,5})\b"
)


def closed_port_hint(output: str, ports: Sequence[int]) -> str:
    """Return a one-line hint if the output says that a server of this machine was unreachable.

    Returns "" for any other output. `ports` are the ports that commands may reach.
    """
    for line in output.splitlines():
        match = _ENDPOINT.search(line)
        if match and _REFUSED.search(line) and 1024 <= (port := int(match[1])) < 1 << 16:
            if port in ports:
                return ""
            return (
                f"commands cannot reach this machine's port {port}; to allow it: "
                f"localagent config set sandbox_ports {','.join(map(str, (*ports, port)))}"
            )
    return ""


class CommandInput:
    """A pipe to the standard input of a running command. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connected = threading.Event()
        self._pipe: int | None = None

    def connect(self, pipe: int) -> None:
        """Take over the pipe's descriptor for writing. The sandbox calls this."""
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._connected.set()

    def write(self, data: bytes, seconds: float) -> bool:
        """Write all of `data`; False if the command does not read it within `seconds`."""
        end = time.monotonic() + seconds
        self._connected.wait(seconds)
        view = memoryview(data)
        with self._lock:
            while view and self._pipe is not None and (left := end - time.monotonic()) > 0:
                try:
                    if select.select([], [self._pipe], [], left)[1]:
                        view = view[os.write(self._pipe, view) :]
                except OSError:
                    break  # the command closed its input
        return not view

    def close(self) -> None:
        """End the input. The sandbox calls this after the command's end."""
        with self._lock:
            if self._pipe is not None:
                os.close(self._pipe)
                self._pipe = None


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run.

    `/bin/sh -c` runs `line` in the folder `cwd`, relative to the workspace. The limits are
    `seconds` of wall-clock time, `memory_bytes` for each process, `total_memory_bytes` for all
    processes together, `processes` at a time, `file_bytes` for each file, and `disk_bytes` for all
    files together. The sandbox keeps `output_bytes` of the output, half of them from the start and
    half from the end. `env` is added to the scrubbed environment. A command without `input` has an
    empty standard input.
    """

    line: str
    cwd: str = "."
    seconds: float = 120.0
    memory_bytes: int = 4 << 30
    total_memory_bytes: int = 8 << 30
    output_bytes: int = 256 << 10
    processes: int = 1024
    file_bytes: int = 4 << 30
    disk_bytes: int = 8 << 30
    env: dict[str, str] = field(default_factory=dict)
    input: CommandInput | None = None


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    `exit_code` is negative for a signal. `output` is stdout and stderr in the order of arrival,
    decoded leniently; one line replaces the dropped part. `stopped` names the limit at which the
    sandbox ended the command, or is "". `blocked_connections` counts the command's attempts to
    reach another machine; all of them failed. `blocked_sockets` names the other sockets that the
    sandbox refused ("2 UDP, 1 raw"). If the sandbox cannot count refusals, both are empty (0 and
    "").
    """

    exit_code: int
    output: str
    seconds: float
    timed_out: bool = False
    cancelled: bool = False
    dropped_bytes: int = 0
    stopped: str = ""
    blocked_connections: int = 0
    blocked_sockets: str = ""

    @property
    def is_missing(self) -> bool:
        """True if the shell did not find the command (exit code 127)."""
        return self.exit_code == 127

    @property
    def blocked(self) -> str:
        """A description of the blocked attempts, for the user; "" if there were none.

        For example, "reach other machines (2 attempts) and use forbidden sockets (2 UDP)".
        """
        parts = []
        if count := self.blocked_connections:
            parts.append(f"reach other machines ({count} attempt{'s' if count > 1 else ''})")
        if self.blocked_sockets:
            parts.append(f"use forbidden sockets ({self.blocked_sockets})")
        return " and ".join(parts)


def network_access(ports: Sequence[int]) -> str:
    """Describe the network that commands can reach: "no network but 127.0.0.1:5432"."""
    endpoints = ", ".join(f"127.0.0.1:{port}" for port in ports)
    return f"no network but {endpoints}" if endpoints else "no network"


class Snapshot(Protocol):
    """A copy-on-write snapshot of the workspace in which commands run."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Apply `changes` to the snapshot, before its next command runs."""

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """Run `command` to its end or limit; then end every process that it left.

        Raises SandboxError if the command cannot start.
        """

    def changes(self) -> tuple[Change, ...]:
        """Return how the snapshot differs from the workspace, sorted by path, without caches.

        A deleted folder comes with a change for each of its entries. If a file replaced a folder,
        the deletions of the folder's entries come before the new file. Raises SandboxError if the
        changes are too large to keep.
        """


class Sandbox(Protocol):
    """Opens snapshots in which commands run apart from the rest of the machine."""

    @property
    def kind(self) -> str:
        """One of "unshare", "bubblewrap", "landlock", "seccomp" and "none"."""

    @property
    def confined(self) -> bool:
        """True if commands have no network and cannot write outside the snapshot."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports of 127.0.0.1 that commands may connect to."""

    def open(self, root: Path, changes: Sequence[Change] = ()) -> AbstractContextManager[Snapshot]:
        """Open a snapshot of `root` with `changes` applied; the end of the block discards it."""

    def close(self) -> None:
        """Free the resources that are kept between snapshots. `open` still works afterwards."""
