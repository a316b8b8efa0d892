"""A pytest process in the sandbox that has collected the tests, and forks to run some of them.

The plug-in `probe/localagent_fork_server.py` describes the protocol. The checked code runs in the
same sandbox and may end, stop or imitate the server. So a reply may be missing or wrong, and only a
real check decides whether a change passes.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Literal

from localagent.agent.checks.probe_loading import probe_environment, probed_command
from localagent.agent.limits import FORKS
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.project.python_environment import check_variables
from localagent.sandbox.base import Command, CommandInput

_MARK = "LOCALAGENT-FORK "
_PLUGINS = {"PYTEST_PLUGINS": "localagent_probe,localagent_fork_server"}

Mode = Literal["collected", "fresh"]
"""When a server forks: after the collection of the tests, or before any import of the project."""


def cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ForkServer:
    """A running server in a snapshot of the workspace with `changes`.

    `close` ends it. Raises SandboxError if the snapshot cannot be opened.
    """

    def __init__(
        self, turn: Turn, check: str, changes: Sequence[Change], mode: Mode, *, lean: bool
    ) -> None:
        self._turn = turn
        variables = {**probe_environment([], lean=lean), **_PLUGINS, "LOCALAGENT_FORK_SERVER": mode}
        services = turn.services
        self._input = CommandInput()
        self._command = Command(
            probed_command(check, variables),
            seconds=FORKS.server_seconds,
            memory_bytes=FORKS.memory_bytes,
            output_bytes=FORKS.output_bytes,
            env=check_variables(services.workspace.root) | variables,
            input=self._input,
        )
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._text = ""
        self._blocked = ""
        self._noise = 0
        self._closed = threading.Event()
        self._open = ExitStack()
        snapshot = services.sandbox.open(services.workspace.root, changes)
        self._snapshot = self._open.enter_context(snapshot)
        self._thread = threading.Thread(target=self._run, name="fork-server", daemon=True)
        self._thread.start()

    def send(self, request: dict[str, Any]) -> bool:
        """Send a request; False if the server does not read it in time."""
        data = json.dumps(request).encode() + b"\n"
        return self._input.write(data, FORKS.write_seconds)

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """The next reply; None if the server has ended or says nothing within `seconds`."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._turn.ensure_within_limits()
            with suppress(queue.Empty):
                return self._replies.get(timeout=min(left, FORKS.poll_seconds))
        return None

    def close(self) -> str:
        """End the server, and discard its snapshot. Returns what the sandbox blocked, or ""."""
        self._closed.set()
        self._thread.join()
        self._open.close()
        return self._blocked

    def _run(self) -> None:
        with suppress(SandboxError):
            done = self._snapshot.run(self._command, self._read, self._must_end)
            self._blocked = done.blocked
        self._replies.put(None)

    def _must_end(self) -> bool:
        return self._closed.is_set() or self._turn.stop.is_set()

    def _read(self, text: str) -> None:
        *lines, self._text = (self._text + text).split("\n")
        self._noise += sum(len(line) for line in lines if not line.startswith(_MARK))
        if self._noise + len(self._text) > FORKS.noise_chars:
            self._closed.set()
            return
        for line in lines:
            if line.startswith(_MARK):
                with suppress(ValueError, RecursionError):
                    reply = json.loads(line.removeprefix(_MARK))
                    if isinstance(reply, dict):
                        self._replies.put(reply)
