"""The sandbox "landlock": the kernel's own access rules, without namespaces, root or a package.

For containers and systems that forbid user namespaces. The view is a copy. Landlock holds files,
abstract sockets, signals and debugging; a filter on system calls takes away what it has no say in
(other protocols than TCP, System V memory), and a broker does the rest in the command's place
(modes, connections; see broker.py). Processes of others can be seen, not touched.

Needs Linux 6.12, on x86-64 or 64-bit ARM.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from localagent.changes import Change
from localagent.guard.sandbox.base import Command, Completed, View
from localagent.guard.sandbox.copies import Copies, CopyView
from localagent.guard.sandbox.environment import scrubbed
from localagent.guard.sandbox.exposure import rules
from localagent.guard.sandbox.launch import Launchers, common


class LandlockSandbox:
    """Commands confined by Landlock. `base` is where scratch folders lie, `ports` the loopback
    ports that commands may connect to. Used by one thread at a time."""

    kind = "landlock"
    confined = True

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self._copies = Copies(base)
        self._launchers = Launchers()
        self._ports = list(ports)

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`; see the protocol. Raises SandboxError for an unusable folder."""
        found = rules(root.resolve())

        def run(
            view: CopyView,
            command: Command,
            on_output: Callable[[str], None] | None,
            cancelled: Callable[[], bool] | None,
        ) -> Completed:
            return self._run(found, view, command, on_output, cancelled)

        with self._copies.open(root, changes, run) as view:
            yield view

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher; also done at exit."""
        self._launchers.close()
        self._copies.close()

    def _run(
        self,
        found: list[tuple[str, str]],
        view: CopyView,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed:
        if not any(view.home.iterdir()):
            view.link_tools()
        own = [os.path.realpath(folder) for folder in (view.tree, view.tmp, view.home)]
        real, shown = str(view.workspace), own[0]
        # The view does not lie where the workspace does, and names of the one mean the other.
        command = replace(command, line=command.line.replace(real, shown))
        env = scrubbed(own[2], own[1], view.copy.build_folder(own[1]) | command.env)
        cwd = os.path.normpath(Path(shown, command.cwd))
        job = {
            **common(command, env, cwd, own, count_processes=False),
            "kind": "landlock",
            "rules": [
                *found,
                *(("write", folder) for folder in own),
                *(("read", path) for path, _ in view.copy.linked()),
            ],
            "roots": own,
            "ports": self._ports,
        }
        done = self._launchers.take().run(job, command, on_output, cancelled)
        self._launchers.prepare()
        return replace(done, output=done.output.replace(shown, real))
