"""The sandbox "none": a copy of the workspace, limits, a clean environment, but no confinement.

The sandbox "none" serves systems without a real sandbox. Commands run in a copy, so they cannot
change the workspace by accident, but they can do everything else that the user can. So each
unconfined command needs the user's consent (permissions/rules.py). The sandbox works on every
system, but without resource limits on Windows. The sandbox "seccomp" adds a filter on system calls,
on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.egress import lock
from localagent.sandbox.base import Command, CommandResult, Snapshot
from localagent.sandbox.environment import scrubbed
from localagent.sandbox.launcher.follow import OutputBuffer, follow
from localagent.sandbox.snapshots.copy_snapshot import Copies, CopySnapshot, Run


class PlainSandbox:
    """Runs commands in a copy of the workspace. `base` is the parent of scratch folders."""

    kind = "none"
    confined = False
    ports: tuple[int, ...] = ()
    runner: Run

    def __init__(self, base: Path | None = None) -> None:
        self._copies = Copies(base)
        self.runner = partial(_run, offline=False)

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[Snapshot]:
        """Open a snapshot of `root`. Raises SandboxError if there is no room for a copy."""
        with self._copies.open(root, changes, self.runner) as snapshot:
            yield snapshot

    def close(self) -> None:
        """Remove the scratch folders, which an exit hook would also remove."""
        self._copies.close()


class OfflineSandbox(PlainSandbox):
    """The sandbox "seccomp": like "none", but a filter of system calls blocks the network.

    For kernels without namespaces and Landlock. The filter also refuses sockets of other programs,
    debugging, and calls for mounts and kernel modules. Commands can read and change the user's
    files, so each command needs the user's consent.
    """

    kind = "seccomp"

    def __init__(self, base: Path | None = None) -> None:
        super().__init__(base)
        self.runner = partial(_run, offline=True)


def _run(
    snapshot: CopySnapshot,
    command: Command,
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
    *,
    offline: bool,
) -> CommandResult:
    if not any(snapshot.home.iterdir()):
        snapshot.link_tools()
    environment = scrubbed(str(snapshot.home), str(snapshot.tmp), command.env)
    cwd = os.path.normpath(snapshot.tree / command.cwd)
    written = [str(snapshot.tree.parent)]
    if sys.platform == "win32":
        return _run_windows(command, environment, cwd, on_output, cancelled)
    return _run_posix(command, environment, cwd, written, offline, on_output, cancelled)


def _run_posix(
    command: Command,
    environment: dict[str, str],
    cwd: str,
    written: list[str],
    offline: bool,
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> CommandResult:
    from localagent.sandbox.launcher.client import Launcher, base_job

    # The kernel would count all processes of the user, not only those of the command.
    job = {
        **base_job(command, environment, cwd, written, count_processes=False),
        "kind": "seccomp" if offline else "plain",
        # In the network namespace of the egress lock, the kernel counts attempts to get out.
        "isolated_network": lock.state().level == "namespace",
    }
    return Launcher().run(job, command, on_output, cancelled)


def _run_windows(
    command: Command,
    environment: dict[str, str],
    cwd: str,
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> CommandResult:
    output = OutputBuffer(command.output_bytes, on_output)
    try:
        process = subprocess.Popen(
            command.line,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
        )
    except OSError as error:
        raise SandboxError(f"the command could not be started: {error.strerror}") from None
    taskkill = shutil.which("taskkill") or "taskkill"
    arguments = [taskkill, "/T", "/F", "/PID", str(process.pid)]

    def stop() -> None:
        subprocess.run(arguments, check=False, capture_output=True)

    end = follow(process, output, command.seconds, cancelled, stop)
    return CommandResult(
        exit_code=process.returncode,
        output=output.text(),
        seconds=end.seconds,
        timed_out=end.timed_out,
        cancelled=end.cancelled,
        dropped_bytes=output.dropped,
    )
