"""The sandbox "landlock": the kernel's own access rules, without namespaces, root or a package.

For containers and systems that forbid user namespaces. The view is a copy. Landlock holds files,
abstract sockets, signals and debugging; a filter on system calls takes away what it has no say in
(other protocols than TCP, System V memory), and a broker does the rest in the command's place
(modes, connections; see broker.py). Processes of others can be seen, not touched.

Needs Linux 6.12, on x86-64 or 64-bit ARM.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from localagent.sandbox.base import Command, Completed
from localagent.sandbox.environment import scrubbed
from localagent.sandbox.launcher.client import common
from localagent.sandbox.views.copy import ConfinedCopies, CopyView, Run
from localagent.sandbox.visible_paths import rules


class LandlockSandbox(ConfinedCopies):
    """Commands confined by Landlock."""

    kind = "landlock"

    def runner(self, workspace: Path) -> Run:
        """See ConfinedCopies."""
        return partial(self._run, rules(workspace))

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
            **common(command, env, cwd, own, count_processes=False, ports=self.ports),
            "kind": "landlock",
            "rules": [
                *found,
                *(("write", folder) for folder in own),
                *(("read", path) for path, _ in view.copy.linked()),
            ],
            "roots": own,
        }
        done = self.launch(job, command, on_output, cancelled)
        return replace(done, output=done.output.replace(shown, real))
