"""The `Sandbox` protocol: where commands run, and what they can touch.

Every command runs in a `Snapshot` of the workspace: an overlay, or a copy where the kernel has no
overlays. The command can write anything there, and `changes()` reads back what it changed. The
caller decides whether changes reach the real workspace, through a checkpoint. So a check of a
candidate never touches the user's files, and a shell command can be undone exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from localagent.core.changes import Change

_REFUSED = re.compile(r"refused|ECONNREFUSED|permission denied|EACCES", re.I)
# "127.0.0.1:5432" (Go, node, redis), 'at "localhost" (127.0.0.1), port 5432' (Postgres),
# "host='localhost', port=5432" (urllib3).
_ENDPOINT = re.compile(
    r"(?:127\.0\.0\.1|localhost|\[?::1\]?)['\")]{0,2}"
    r"(?::|(?: \([^)\n]{1,40}\))?,? port[ =])(\d{4,5})\b"
)


def closed_port_hint(output: str, ports: Sequence[int]) -> str:
    """Return a hint, in one line, where a command could not reach a server of this machine.

    Returns "" for any other output. `ports` are the allowed ones.
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


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run.

    `/bin/sh -c` runs `line` in the folder `cwd`, relative to the workspace. Limits are: `seconds`
    of wall-clock time, `memory_bytes` for each process, `total_memory_bytes` for all together,
    `processes` at a time, `file_bytes` for each file, and `disk_bytes` for all files together.
    `output_bytes` of the output are kept, half of them from the start and half from the end.
    `env` is added to the scrubbed environment.
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


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command.

    `exit_code` is negative for a signal. `output` is stdout and stderr in the order they came,
    decoded leniently, with a line in place of what was dropped. `stopped` names the limit for which
    the sandbox ended the command, "" for none. `blocked_connections` is the number of attempts to
    reach another machine, all in vain. `blocked_sockets` are other sockets that it was refused, in
    words ("2 UDP, 1 raw"). They are 0 and "" where the kind cannot count.
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
        """True where the shell did not find the command (exit code 127)."""
        return self.exit_code == 127

    @property
    def blocked(self) -> str:
        """What the sandbox blocked, in words; "" for nothing.

        Such as "reach other machines (2 attempts) and use sockets that it may not (2 UDP)".
        """
        parts = []
        if count := self.blocked_connections:
            parts.append(f"reach other machines ({count} attempt{'s' if count > 1 else ''})")
        if self.blocked_sockets:
            parts.append(f"use sockets that it may not ({self.blocked_sockets})")
        return " and ".join(parts)


def network_access(ports: Sequence[int]) -> str:
    """Say what commands have of the network: "no network but 127.0.0.1:5432"."""
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
        """Run `command` to its end or limit; afterwards all its processes are gone.

        Raises SandboxError where the command could not be started at all.
        """

    def changes(self) -> tuple[Change, ...]:
        """Return how the snapshot differs from the workspace, sorted by path, without caches.

        A deleted folder comes with a change for each of its entries. Where the kind of a path
        changed (a file where a folder was), the deletions below it come first, and then its new
        kind. Raises SandboxError where the changes are too large to keep.
        """


class Sandbox(Protocol):
    """A way to run commands apart from the rest of the machine."""

    @property
    def kind(self) -> str:
        """One of "unshare", "bubblewrap", "landlock" and "none"."""

    @property
    def confined(self) -> bool:
        """True where commands have no network and cannot write outside the snapshot."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of this machine's 127.0.0.1 that commands may connect to, by TCP."""

    def open(self, root: Path, changes: Sequence[Change] = ()) -> AbstractContextManager[Snapshot]:
        """Open a new snapshot of the folder `root` with `changes`; leaving discards it."""

    def close(self) -> None:
        """Free what is kept ready between snapshots. `open` works again afterwards."""
