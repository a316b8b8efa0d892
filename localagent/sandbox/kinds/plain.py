"""The sandbox "none": a copy of the workspace, limits and a scrubbed environment, no confinement.

For systems without a real sandbox. Commands cannot change the workspace by accident, since they
run in a copy; they can do everything else that the user can. So every command has to be asked
for (see guard.permissions). Works on every system; on Windows without the resource limits.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.egress import lock
from localagent.sandbox.base import Command, Completed, View
from localagent.sandbox.environment import scrubbed
from localagent.sandbox.launcher.follow import Captured, follow
from localagent.sandbox.views.copy import Copies, CopyView


class PlainSandbox:
    """Commands in a copy of the workspace. `base` is where scratch folders lie."""

    kind = "none"
    confined = False
    ports: tuple[int, ...] = ()

    def __init__(self, base: Path | None = None) -> None:
        self._copies = Copies(base)

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`. Raises SandboxError where there is no room for a copy."""
        with self._copies.open(root, changes, _run) as view:
            yield view

    def close(self) -> None:
        """Remove the scratch folders; also done at exit."""
        self._copies.close()


def _run(
    view: CopyView,
    command: Command,
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Completed:
    if not any(view.home.iterdir()):
        view.link_tools()
    environment = scrubbed(str(view.home), str(view.tmp), command.env)
    cwd = os.path.normpath(view.tree / command.cwd)
    run = _run_windows if sys.platform == "win32" else _run_posix
    return run(command, environment, cwd, [str(view.tree.parent)], on_output, cancelled)


def _run_posix(
    command: Command,
    environment: dict[str, str],
    cwd: str,
    written: list[str],
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Completed:
    from localagent.sandbox.launcher.client import Launcher, common

    # The kernel would count all processes of the user, not only those of the command.
    job = {
        **common(command, environment, cwd, written, count_processes=False),
        "kind": "plain",
        # What the egress lock leaves of a network has no way out, and the kernel counts.
        "counts": lock.state().level == "namespace",
    }
    return Launcher().run(job, command, on_output, cancelled)


def _run_windows(
    command: Command,
    environment: dict[str, str],
    cwd: str,
    _written: list[str],
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Completed:
    captured = Captured(command.output_bytes, on_output)
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

    followed = follow(process, captured, command.seconds, cancelled, stop)
    return Completed(
        exit_code=process.returncode,
        output=captured.text(),
        seconds=followed.seconds,
        timed_out=followed.timed_out,
        cancelled=followed.cancelled,
        dropped_bytes=captured.dropped,
    )
