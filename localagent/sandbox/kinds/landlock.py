"""The sandbox "landlock": the kernel's own access rules, without namespaces, root or a package.

For containers and systems that forbid user namespaces. The snapshot is a copy. Landlock checks
files, abstract sockets, signals and debugging. A filter on system calls refuses what Landlock does
not check, such as UDP and System V memory. A broker (launcher/syscall_broker.py) connects and
changes file modes in the command's place. A command sees the machine's other processes, but cannot
touch them.

Needs Linux 5.13 with Landlock, on x86-64 or 64-bit ARM. Before Linux 6.12 the filter and the broker
also cover signals, abstract sockets and truncation.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from localagent.sandbox.base import Command, CommandResult
from localagent.sandbox.environment import scrubbed
from localagent.sandbox.launcher.client import base_job
from localagent.sandbox.snapshots.copy_snapshot import ConfinedCopies, CopySnapshot, Run
from localagent.sandbox.visible_paths import landlock_rules


class LandlockSandbox(ConfinedCopies):
    """Runs commands confined by Landlock."""

    kind = "landlock"

    def runner(self, workspace: Path) -> Run:
        """See ConfinedCopies."""
        return partial(self._run, landlock_rules(workspace))

    def _run(
        self,
        rules: list[tuple[str, str]],
        snapshot: CopySnapshot,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult:
        if not any(snapshot.home.iterdir()):
            snapshot.link_tools()
        folders = (snapshot.tree, snapshot.tmp, snapshot.home)
        tree, tmp, home = written = [os.path.realpath(folder) for folder in folders]
        workspace = str(snapshot.workspace)
        # The copy's path differs from the workspace's, so paths are translated both ways.
        variables = {name: text.replace(workspace, tree) for name, text in command.env.items()}
        command = replace(command, line=command.line.replace(workspace, tree), env=variables)
        env = scrubbed(home, tmp, snapshot.copy.build_folder(tmp) | command.env)
        cwd = os.path.normpath(Path(tree, command.cwd))
        job = {
            **base_job(command, env, cwd, written, count_processes=False, ports=self.ports),
            "kind": "landlock",
            "rules": [
                *rules,
                *(("write", folder) for folder in written),
                *(("read", path) for path, _ in snapshot.copy.linked()),
            ],
            "roots": written,
        }
        result = self.launch(job, command, on_output, cancelled)
        return replace(result, output=result.output.replace(tree, workspace))
