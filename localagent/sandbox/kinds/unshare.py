"""The sandbox "unshare": Linux namespaces and an overlay; no root and no extra package needed.

Commands see the workspace at its own path, as an overlay; its upper folder takes everything that
they write. Commands see the rest of the machine read-only, without network, other processes,
devices or secrets (visible_paths.py). A launcher in a separate process does the work
(launcher/namespaces.py); this module prepares the launcher's jobs and reads the results.

The sandbox needs root or user namespaces, and Linux 5.12 (overlays in user namespaces, recursive
read-only mounts).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.core.trees import remove_tree
from localagent.sandbox.base import Command, CommandResult, Snapshot
from localagent.sandbox.environment import scrubbed, tool_links
from localagent.sandbox.launcher.client import LauncherPool, base_job
from localagent.sandbox.snapshots import copy, overlay
from localagent.sandbox.snapshots.scratch import Scratches
from localagent.sandbox.visible_paths import Mount, mounts

_HOME = "/tmp/.localagent-home"
_TMP_BYTES = 2 << 30  # size of /tmp and of /dev/shm, file systems in memory
_NOTHING = Command("", seconds=60.0)


class UnshareSandbox:
    """Runs commands confined by namespaces. Not thread-safe.

    `base` is the parent of scratch folders (see scratch.bases). Commands may connect to `ports` of
    this machine.
    """

    kind = "unshare"
    confined = True

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._scratches = Scratches(base)
        self.launchers = LauncherPool()
        self._no_overlay: set[Path] = set()

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[Snapshot]:
        """Open a snapshot of `root`. Raises SandboxError if `root` is unusable."""
        workspace = root.resolve()
        found = mounts(workspace)
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            snapshot = _UnshareSnapshot(self, workspace, folder, scratch.covers, found)
            snapshot.apply(changes)
            yield snapshot
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher, as an exit hook also does."""
        self.launchers.close()
        self._scratches.close()

    def overlay_failed(self, workspace: Path) -> None:
        """Remember that `workspace` cannot have an overlay."""
        self._no_overlay.add(workspace)

    def can_overlay(self, workspace: Path) -> bool:
        """Report whether an overlay of `workspace` may work."""
        return workspace not in self._no_overlay


class _UnshareSnapshot:
    """A snapshot as an overlay, or as a copy if the file system allows no overlays."""

    def __init__(
        self,
        sandbox: UnshareSandbox,
        workspace: Path,
        folder: Path,
        covers: Path,
        found: list[Mount],
    ) -> None:
        self._sandbox = sandbox
        self._workspace = workspace
        self._folder = folder
        self._covers = covers
        self._mounts = found
        self._pending: list[Change] = []
        self._used = False
        self._copy: copy.Copy | None = None
        # The overlay's root takes its mode from this folder; the owner can always write.
        (folder / "upper").mkdir()
        (folder / "upper").chmod(workspace.stat().st_mode & 0o777 | 0o700)
        if not sandbox.can_overlay(workspace):
            self._copy = self._new_copy()

    def _new_copy(self) -> copy.Copy:
        hidden = [path for kind, path, _ in self._mounts if kind in ("folder", "file")]
        return copy.Copy(self._workspace, self._folder / "tree", hidden=hidden)

    def apply(self, changes: Sequence[Change]) -> None:
        self._pending += changes

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        return self._launch(command, ["/bin/sh", "-c", command.line], on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        if self._pending:
            self._launch(_NOTHING, None)
        if self._copy is not None:
            return self._copy.changes()
        return overlay.changes(self._folder / "upper", self._workspace)

    def _launch(
        self,
        command: Command,
        argv: list[str] | None,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        launcher = self._sandbox.launchers.take()
        try:
            result = launcher.run(self._job(command, argv), command, on_output, cancelled)
        except SandboxError as error:
            # The workspace's file system, or one mounted inside it, may not support overlays.
            if self._used or self._copy is not None or "overlay" not in error.message:
                raise
            self._sandbox.overlay_failed(self._workspace)
            self._copy = self._new_copy()
            return self._launch(command, argv, on_output, cancelled)
        self._used = True
        self._pending.clear()
        self._sandbox.launchers.prepare()
        return result

    def _job(self, command: Command, argv: list[str] | None) -> dict[str, Any]:
        work = self._folder / "work"
        if work.exists():  # an earlier mount left files there; a mount needs an empty folder
            remove_tree(work)
        work.mkdir()
        env = scrubbed(_HOME, "/tmp", command.env)
        cwd = os.path.normpath(self._workspace / command.cwd)
        written = [str(self._folder)]
        ports = self._sandbox.ports if argv is not None else ()
        return {
            **base_job(command, env, cwd, written, count_processes=True, ports=ports),
            "kind": "namespace",
            "argv": argv,
            "scratch": str(self._folder),
            "covers": str(self._covers),
            "home": _HOME,
            "links": tool_links(_HOME),
            "workspace": str(self._workspace),
            "overlay": self._copy is None,
            "mounts": self._mounts,
            "private_mounts": [
                str(self._workspace),
                "/dev/shm",
                *(path for kind, path, _ in self._mounts if kind == "tmp"),
            ],
            "tmp_bytes": str(_TMP_BYTES),
            "changes": [(c.path, c.kind, c.data, c.mode) for c in self._pending],
        }
