"""The `Sandbox` protocol: where commands run, and what they can touch.

Every command runs in a `View` of the workspace: a copy-on-write picture of it (an overlay, or a
copy where the kernel has none) in which the command can write as it likes. What it changed is
read back with `changes()`; whoever opened the view decides whether any of it reaches the real
workspace, through the journal. So a candidate can be checked without the user's tree being
touched, and a shell command can be undone exactly.
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
_PLACE = re.compile(
    r"(?:127\.0\.0\.1|localhost|\[?::1\]?)['\")]{0,2}"
    r"(?::|(?: \([^)\n]{1,40}\))?,? port[ =])(\d{4,5})\b"
)


def closed_port(output: str, ports: Sequence[int]) -> str:
    """What to do where a command could not reach a server of this machine, in one line, or "";
    `ports` are those that are allowed."""
    for line in output.splitlines():
        found = _PLACE.search(line)
        if found and _REFUSED.search(line) and 1024 <= (port := int(found[1])) < 1 << 16:
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

    `line` is run by `/bin/sh -c` in the folder `cwd` (relative to the workspace). Limits:
    `seconds` of wall-clock time, `memory_bytes` a process and `total_memory_bytes` all together,
    `output_bytes` kept of what it prints (the head and the tail; the middle is dropped),
    `processes` at a time, `file_bytes` a file that it writes and `disk_bytes` all that it writes.
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
class Completed:
    """What a command did. `exit_code` is negative for a signal. `output` is stdout and stderr in
    the order they came, decoded leniently, with a line saying what was dropped.

    `not_found` says that the shell found no such command (exit code 127). `stopped` says in words
    which limit on all its processes together it passed, if it was ended for that. `refused` is how
    often its programs reached for another machine, in vain; 0 where the kind cannot tell. `sockets`
    are others that it was refused, in words ("2 UDP, 1 raw"), "" where the kind cannot tell.
    """

    exit_code: int
    output: str
    seconds: float
    timed_out: bool = False
    cancelled: bool = False
    dropped_bytes: int = 0
    stopped: str = ""
    refused: int = 0
    sockets: str = ""

    @property
    def not_found(self) -> bool:
        """True where the shell did not find the command."""
        return self.exit_code == 127

    @property
    def reached_for(self) -> str:
        """What `refused` and `sockets` tell, in words: "reach other machines (2 attempts) and use
        sockets that it may not (2 UDP)"; "" for nothing."""
        found = []
        if self.refused:
            many = "s" if self.refused > 1 else ""
            found.append(f"reach other machines ({self.refused} attempt{many})")
        if self.sockets:
            found.append(f"use sockets that it may not ({self.sockets})")
        return " and ".join(found)


def reach(ports: Sequence[int]) -> str:
    """What commands have of the network, in words: "no network but 127.0.0.1:5432"."""
    places = ", ".join(f"127.0.0.1:{port}" for port in ports)
    return f"no network but {places}" if places else "no network"


class View(Protocol):
    """A copy-on-write picture of the workspace in which commands run."""

    def put(self, changes: Sequence[Change]) -> None:
        """Make `changes` in the view only. Call between commands; carried out before the next."""

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Completed:
        """Run `command` to its end or limit; every process it started is gone afterwards.

        Raises SandboxError where it could not be started at all.
        """

    def changes(self) -> tuple[Change, ...]:
        """How the view now differs from the workspace, sorted by path, caches left out.

        A folder that is gone is told with all that was in it, one change each. A path that was
        one kind and is another (a file where a folder was) is told by its new kind, after the
        deletions of what was below it. Raises SandboxError where the changes are too large to
        take over.
        """


class Sandbox(Protocol):
    """A way to run commands apart from the rest of the machine."""

    @property
    def kind(self) -> str:
        """Its name: "unshare", "bubblewrap", "landlock" or "none"."""

    @property
    def confined(self) -> bool:
        """True where commands have no network and cannot write outside the view."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of this machine's 127.0.0.1 that commands may connect to, by TCP."""

    def open(self, root: Path, changes: Sequence[Change] = ()) -> AbstractContextManager[View]:
        """A new view of the folder `root`, with `changes` put; discarded when left."""

    def close(self) -> None:
        """Free what is kept ready between views. It can be opened again afterwards."""
