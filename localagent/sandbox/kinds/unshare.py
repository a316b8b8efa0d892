"""The sandbox "unshare": Linux namespaces and an overlay; no root and no extra package needed.

Commands see the workspace at its own path, as an overlay whose upper folder takes all that they
write. Beyond it they see the machine read-only, without network, other processes, devices and
secrets (exposure.py). The work is done by a launcher in a process of its own (launcher.py,
namespace.py); this module prepares its jobs and reads the result.

Needs Linux 5.12 (overlays in user namespaces, recursive read-only mounts) and user namespaces,
or root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Completed, View
from localagent.sandbox.environment import scrubbed, tool_links
from localagent.sandbox.launcher.client import Launchers, common
from localagent.sandbox.views import copy, overlay
from localagent.sandbox.views.scratch import Scratches, remove_tree
from localagent.sandbox.visible_paths import Place, places

_HOME = "/tmp/.localagent-home"
_TMP_BYTES = 2 << 30  # of /tmp and of /dev/shm, which lie in memory
_NOTHING = Command("", seconds=60.0)


class UnshareSandbox:
    """Commands confined by namespaces. `base` is where scratch folders lie (see scratch.bases),
    `ports` are those of this machine that commands may connect to.

    Used by one thread at a time.
    """

    kind = "unshare"
    confined = True

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._scratches = Scratches(base)
        self.launchers = Launchers()
        self._no_overlay: set[Path] = set()

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`; see the protocol. Raises SandboxError for an unusable folder."""
        workspace = root.resolve()
        found = places(workspace)
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            view = _UnshareView(self, workspace, folder, scratch.covers, found)
            view.put(changes)
            yield view
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher; also done at exit."""
        self.launchers.close()
        self._scratches.close()

    def overlay_failed(self, workspace: Path) -> None:
        """Remember that `workspace` cannot be overlaid."""
        self._no_overlay.add(workspace)

    def can_overlay(self, workspace: Path) -> bool:
        """Whether an overlay of `workspace` is worth trying."""
        return workspace not in self._no_overlay


class _UnshareView:
    """A view as an overlay or, where the file system allows none, as a copy of the files."""

    def __init__(
        self,
        sandbox: UnshareSandbox,
        workspace: Path,
        folder: Path,
        covers: Path,
        found: list[Place],
    ) -> None:
        self._sandbox = sandbox
        self._workspace = workspace
        self._folder = folder
        self._covers = covers
        self._places = found
        self._pending: list[Change] = []
        self._used = False
        self._copy: copy.Copy | None = None
        # The overlay's own folder gets its mode from here; the owner can always write.
        (folder / "upper").mkdir()
        (folder / "upper").chmod(workspace.stat().st_mode & 0o777 | 0o700)
        if not sandbox.can_overlay(workspace):
            self._copy = copy.Copy(workspace, folder / "tree")

    def put(self, changes: Sequence[Change]) -> None:
        self._pending += changes

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Completed:
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
    ) -> Completed:
        launcher = self._sandbox.launchers.take()
        try:
            done = launcher.run(self._job(command, argv), command, on_output, cancelled)
        except SandboxError as error:
            # The workspace's file system, or one mounted inside it, may not take an overlay.
            if self._used or self._copy is not None or "overlay" not in error.message:
                raise
            self._sandbox.overlay_failed(self._workspace)
            self._copy = copy.Copy(self._workspace, self._folder / "tree")
            return self._launch(command, argv, on_output, cancelled)
        self._used = True
        self._pending.clear()
        self._sandbox.launchers.prepare()
        return done

    def _job(self, command: Command, argv: list[str] | None) -> dict[str, Any]:
        work = self._folder / "work"
        if work.exists():  # what a mount leaves there keeps the next one from starting
            remove_tree(work)
        work.mkdir()
        env = scrubbed(_HOME, "/tmp", command.env)
        cwd = os.path.normpath(self._workspace / command.cwd)
        written = [str(self._folder)]
        ports = self._sandbox.ports if argv is not None else ()
        return {
            **common(command, env, cwd, written, count_processes=True, ports=ports),
            "kind": "namespace",
            "argv": argv,
            "scratch": str(self._folder),
            "covers": str(self._covers),
            "home": _HOME,
            "links": tool_links(_HOME),
            "workspace": str(self._workspace),
            "overlay": self._copy is None,
            "places": self._places,
            "tmp_bytes": str(_TMP_BYTES),
            "puts": [(c.path, c.kind, c.data, c.mode) for c in self._pending],
        }


def supported() -> bool:
    """Whether this system can have this sandbox at all; a probe says whether it does."""
    return os.uname().sysname == "Linux" and shutil.which("sh") is not None
