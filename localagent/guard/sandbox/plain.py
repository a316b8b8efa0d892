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
from contextlib import contextmanager, suppress
from pathlib import Path

from localagent.changes import Change
from localagent.errors import SandboxError
from localagent.guard.sandbox.base import Command, Completed, View
from localagent.guard.sandbox.copying import Copy
from localagent.guard.sandbox.environment import scrubbed, tool_links
from localagent.guard.sandbox.process import Captured, follow
from localagent.guard.sandbox.putting import put
from localagent.guard.sandbox.scratch import Scratch, bases


class PlainSandbox:
    """Commands in a copy of the workspace. `base` is where scratch folders lie."""

    kind = "none"
    confined = False

    def __init__(self, base: Path | None = None) -> None:
        self._base = base
        self._scratches: dict[Path, Scratch] = {}

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`. Raises SandboxError where there is no room for a copy."""
        workspace = root.resolve()
        scratch = self._scratch(workspace)
        folder = scratch.new()
        try:
            try:
                view = _PlainView(workspace, folder)
                view.put(changes)
            except OSError as error:
                raise SandboxError(
                    f"cannot copy the workspace to {folder}: {error.strerror or error}",
                    "check that the disk is not full",
                ) from None
            yield view
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders; also done at exit."""
        for scratch in self._scratches.values():
            scratch.close()
        self._scratches.clear()

    def _scratch(self, workspace: Path) -> Scratch:
        # Outside the workspace, or each copy would hold the one before.
        candidates = [base for base in (self._base, *bases()) if base is not None]
        outside = [base for base in candidates if not base.resolve().is_relative_to(workspace)]
        if not outside:
            raise SandboxError(f"there is no room for a scratch folder outside {workspace}")
        if outside[0] not in self._scratches:
            self._scratches[outside[0]] = Scratch(outside[0])
        return self._scratches[outside[0]]


class _PlainView:
    def __init__(self, workspace: Path, folder: Path) -> None:
        self._copy = Copy(workspace, folder / "tree")
        self._tmp = folder / "tmp"
        self._home = folder / "home"
        self._tmp.mkdir()
        self._home.mkdir()
        for link, target in tool_links(str(self._home)):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # no links on this file system: done without
                Path(link).symlink_to(target, target_is_directory=True)

    def put(self, changes: Sequence[Change]) -> None:
        tree = os.path.realpath(self._copy.tree)
        for change in changes:
            target = Path(tree, change.path)
            # A link of the workspace, or what stands for an ignored folder, leads to real files.
            if not Path(os.path.realpath(target.parent)).is_relative_to(tree):
                raise SandboxError(f"{change.path} leads out of the copy of the workspace")
            put(str(target), change.kind, change.data, change.mode)

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Completed:
        environment = scrubbed(str(self._home), str(self._tmp), command.env)
        cwd = os.path.normpath(self._copy.tree / command.cwd)
        run = _run_windows if sys.platform == "win32" else _run_posix
        return run(command, environment, cwd, on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        return self._copy.changes()


def _run_posix(
    command: Command,
    environment: dict[str, str],
    cwd: str,
    on_output: Callable[[str], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Completed:
    from localagent.guard.sandbox.launch import Launcher, limits

    job = {
        "confined": False,
        "argv": ["/bin/sh", "-c", command.line],
        "env": environment,
        "cwd": cwd,
        # The kernel would count all processes of the user, not only those of the command.
        "limits": limits(command, count_processes=False),
        "processes": command.processes,
    }
    return Launcher().run(job, command, on_output, cancelled)


def _run_windows(
    command: Command,
    environment: dict[str, str],
    cwd: str,
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
