"""Views as copies, for the kinds of sandbox that have no overlay.

A view's folder holds `tree` (the copy of the workspace), `tmp` and `home`; `caches` is shared by
all views of a sandbox.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, Completed, View
from localagent.sandbox.environment import tool_links
from localagent.sandbox.launcher.client import Launchers
from localagent.sandbox.views.apply import put
from localagent.sandbox.views.copy import Copy
from localagent.sandbox.views.scratch import Scratches


class Run(Protocol):
    """How a kind runs a command in a copy; see `View.run`."""

    def __call__(
        self,
        view: CopyView,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed: ...


class CopyView:
    """A view of `workspace` in `folder`; `run_in` runs its commands. `covers`: see Scratch."""

    def __init__(
        self, workspace: Path, folder: Path, covers: Path, run_in: Run, mounted: str
    ) -> None:
        self.workspace = workspace
        self.covers = covers
        self.tree = folder / "tree"
        self.tmp = folder / "tmp"
        self.home = folder / "home"
        self.copy = Copy(workspace, self.tree, mounted)
        self._run_in = run_in
        self.tmp.mkdir()
        self.home.mkdir()

    def link_tools(self) -> None:
        """Make the links of the private home that lead to toolchains."""
        for link, target in tool_links(str(self.home)):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # no links on this file system: done without
                Path(link).symlink_to(target, target_is_directory=True)

    def put(self, changes: Sequence[Change]) -> None:
        tree = os.path.realpath(self.tree)
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
        return self._run_in(self, command, on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        return self.copy.changes()


class Copies:
    """Opens views as copies; `base` is where scratch folders lie."""

    def __init__(self, base: Path | None = None) -> None:
        self._scratches = Scratches(base)

    @contextmanager
    def open(
        self, root: Path, changes: Sequence[Change], run_in: Run, mounted: str = ""
    ) -> Iterator[View]:
        """A new view of `root`; `mounted`: see Copy. Raises SandboxError where it has no room."""
        workspace = root.resolve()
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            try:
                view = CopyView(workspace, folder, scratch.covers, run_in, mounted)
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
        self._scratches.close()


class ConfinedCopies:
    """What the kinds have in common that confine commands in copies, each by a launcher.

    `base` is where scratch folders lie, `ports` are those of this machine that commands may
    connect to. Used by one thread at a time.
    """

    confined = True
    mounted = ""  # see Copy

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._copies = Copies(base)
        self._launchers = Launchers()

    def runner(self, workspace: Path) -> Run:
        """What runs commands in views of `workspace`. Raises SandboxError for an unusable one."""
        raise NotImplementedError

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`; see the protocol. Raises SandboxError for an unusable folder."""
        run = self.runner(root.resolve())
        with self._copies.open(root, changes, run, self.mounted) as view:
            yield view

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher; also done at exit."""
        self._launchers.close()
        self._copies.close()

    def launch(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed:
        """Run `job`, and get ready for the next one."""
        done = self._launchers.take().run(job, command, on_output, cancelled)
        self._launchers.prepare()
        return done
