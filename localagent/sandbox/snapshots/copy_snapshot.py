"""Snapshots as copies of the workspace, for every kind of sandbox but `unshare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, CommandResult, Snapshot
from localagent.sandbox.environment import tool_links
from localagent.sandbox.launcher.client import LauncherPool
from localagent.sandbox.snapshots.apply import apply_change
from localagent.sandbox.snapshots.copy import Copy
from localagent.sandbox.snapshots.scratch import Scratches
from localagent.sandbox.visible_paths import hidden_paths


class Run(Protocol):
    """A function that runs a command in a copy; each kind has its own. See `Snapshot.run`."""

    def __call__(
        self,
        snapshot: CopySnapshot,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult: ...


class CopySnapshot:
    """A copy of `workspace` in `folder`; `run_in` runs its commands. `covers`: see Scratch."""

    def __init__(
        self,
        workspace: Path,
        folder: Path,
        covers: Path,
        run_in: Run,
        mounted: str,
        hidden: Sequence[str],
    ) -> None:
        self.workspace = workspace
        self.covers = covers
        self.tree = folder / "tree"
        self.tmp = folder / "tmp"
        self.home = folder / "home"
        self.copy = Copy(workspace, self.tree, mounted, hidden)
        self._run_in = run_in
        self.tmp.mkdir()
        self.home.mkdir()

    def link_tools(self) -> None:
        """Link the toolchains into the private home."""
        for link, target in tool_links(str(self.home)):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # this file system has no links
                Path(link).symlink_to(target, target_is_directory=True)

    def apply(self, changes: Sequence[Change]) -> None:
        tree = os.path.realpath(self.tree)
        for change in changes:
            target = Path(tree, change.path)
            # A link from the workspace, or a link to an ignored folder, leads to real files.
            if not Path(os.path.realpath(target.parent)).is_relative_to(tree):
                raise SandboxError(f"{change.path} leads out of the copy of the workspace")
            apply_change(str(target), change.kind, change.data, change.mode)

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        return self._run_in(self, command, on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        return self.copy.changes()


class Copies:
    """Opens snapshots as copies; `base` is the parent of scratch folders."""

    def __init__(self, base: Path | None = None) -> None:
        self._scratches = Scratches(base)

    @contextmanager
    def open(
        self,
        root: Path,
        changes: Sequence[Change],
        run_in: Run,
        mounted: str = "",
        hidden: Sequence[str] = (),
    ) -> Iterator[Snapshot]:
        """Open a snapshot of `root`. Raises SandboxError on failure.

        `mounted` and `hidden`: see Copy.
        """
        workspace = root.resolve()
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            try:
                snapshot = CopySnapshot(workspace, folder, scratch.covers, run_in, mounted, hidden)
                snapshot.apply(changes)
            except OSError as error:
                raise SandboxError(
                    f"cannot copy the workspace to {folder}: {error.strerror or error}",
                    "check that the disk is not full",
                ) from None
            yield snapshot
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders, which an exit hook would also remove."""
        self._scratches.close()


class ConfinedCopies:
    """Base class of the kinds that confine commands in copies, each command by a launcher.

    `base` is the parent of scratch folders. Commands may connect to `ports` of this machine. Only
    one thread at a time may use an object of this class.
    """

    confined = True
    mounted = ""  # see Copy

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._copies = Copies(base)
        self._launchers = LauncherPool()

    def runner(self, workspace: Path) -> Run:
        """Return a function that runs commands. Raises SandboxError for an unusable folder."""
        raise NotImplementedError

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[Snapshot]:
        """Open a snapshot of `root`. Raises SandboxError if `root` is unusable."""
        run = self.runner(root.resolve())
        hidden = [path for path, _ in hidden_paths()]
        with self._copies.open(root, changes, run, self.mounted, hidden) as snapshot:
            yield snapshot

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher, as an exit hook also does."""
        self._launchers.close()
        self._copies.close()

    def launch(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult:
        """Run `job`, and start the next launcher ahead of time."""
        result = self._launchers.take().run(job, command, on_output, cancelled)
        self._launchers.prepare()
        return result
