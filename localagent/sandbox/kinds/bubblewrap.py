"""The sandbox "bubblewrap": namespaces made by the program `bwrap`, where it is installed.

For systems on which a program of one's own may make no user namespaces, but bwrap may: by a profile
of AppArmor, or as a set-user-id program. The view is a copy, mounted at the workspace's own path;
what is hidden, limits and the filter on system calls are those of the other kinds.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from localagent.core.errors import SandboxError
from localagent.core.interpreter import plain_python
from localagent.egress.splice import HAND_OVER
from localagent.sandbox.base import Command, Completed
from localagent.sandbox.environment import scrubbed, tool_links
from localagent.sandbox.launcher.client import common
from localagent.sandbox.views.copy import ConfinedCopies, CopyView, Run
from localagent.sandbox.visible_paths import Place, places

_HOME = "/tmp/.localagent-home"
_OBJECTS = "/tmp/.localagent-objects"  # the repository's own
_TMP_BYTES = 2 << 30  # of /tmp, which lies in memory
_TRIES = 3  # where what is to be covered, such as another program's socket, goes away meanwhile
# CAP_* that root keeps, as in namespace.py.
_FILE_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID")
# The number of processes is limited inside, where the user's others do not count: -u is bash's
# letter for it, -p dash's.
_LINE = 'ulimit -u "$1" 2>/dev/null || ulimit -p "$1"; exec /bin/sh -c "$2"'


class BubblewrapSandbox(ConfinedCopies):
    """Commands confined by bwrap. Raises SandboxError where there is none."""

    kind = "bubblewrap"
    mounted = _OBJECTS

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        super().__init__(base, ports)
        found = shutil.which("bwrap")
        if found is None:
            raise SandboxError("there is no program bwrap", "install the package bubblewrap")
        self._program = os.path.realpath(found)

    def runner(self, workspace: Path) -> Run:
        """See ConfinedCopies."""
        return partial(self._run, places(workspace))

    def _run(
        self,
        found: list[Place],
        view: CopyView,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed:
        if not Path(view.tree, command.cwd).is_dir():  # bwrap would end as the command could
            raise SandboxError(f"the command could not be started: no folder {command.cwd}")
        env = scrubbed(_HOME, "/tmp", view.copy.build_folder("/tmp") | command.env)
        written = [str(view.tree.parent)]
        for _ in range(_TRIES):
            there = [place for place in found if _to_mount(place)]
            job = self._job(there, view, command, env, written)
            try:
                return self.launch(job, command, on_output, cancelled)
            except SandboxError as error:
                failed = error
                if all(os.path.lexists(path) for _, path, _ in there):
                    break
        raise failed

    def _job(
        self,
        found: list[Place],
        view: CopyView,
        command: Command,
        env: dict[str, str],
        written: list[str],
    ) -> dict[str, Any]:
        limit = str(command.processes) if command.processes else "unlimited"
        cwd = os.path.normpath(view.workspace / command.cwd)
        return {
            **common(command, env, "/", written, count_processes=False, ports=self.ports),
            "kind": "bubblewrap",
            "argv": [
                *(self._program, *_always(), *_mounts(found, view), "--chdir", cwd, "--"),
                *self._listening(),
                *("/bin/sh", "-c", _LINE, "sh", limit, command.line),
            ],
        }

    def _listening(self) -> tuple[str, ...]:
        """The program that makes the ports inside and then becomes the one that follows."""
        if not self.ports:
            return ()
        python = plain_python("-c", HAND_OVER, "RELAY", ",".join(map(str, self.ports)))
        return tuple(python)


def _to_mount(place: Place) -> bool:
    """Whether a place is there, and bwrap can get to it. In a folder that only another user may
    enter neither bwrap nor the command can: inside, root has no rights to the files of others."""
    kind, path, _ = place
    if not os.path.lexists(path):
        return False
    return kind in ("tmp", "workspace", "keep") or all(map(_may_enter, Path(path).parents))


def _may_enter(folder: Path) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return False
    if found.st_uid == os.geteuid():
        return True
    ours = found.st_gid in (os.getegid(), *os.getgroups())
    return bool(found.st_mode & (stat.S_IXGRP if ours else stat.S_IXOTH))


def _always() -> list[str]:
    """What does not depend on the view. STATUS, FILTER and RELAY become numbers in the launcher."""
    found = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    found += ["--new-session", "--hostname", "sandbox", "--json-status-fd", "STATUS"]
    found += ["--seccomp", "FILTER", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        for name in _FILE_CAPABILITIES:
            found += ["--cap-add", name]
    return found


def _mounts(found: list[Place], view: CopyView) -> list[str]:
    options = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    options += ["--remount-ro", "/proc"]  # to the kernel, root inside still is user 0
    rooms: list[str] = []
    covered: list[str] = []  # what is below these is gone already
    for kind, path, roomy in found:
        if kind == "tmp":
            options += ["--size", str(_TMP_BYTES), "--perms", "1777", "--tmpfs", path]
        elif kind == "workspace":
            options += ["--bind", str(view.tree), path]
        elif kind == "keep":
            options += ["--ro-bind", path, path]
        elif roomy:
            options += ["--size", str(64 << 10), "--perms", "0755", "--tmpfs", path]
            rooms.append(path)
        elif not any(path.startswith(f"{folder}/") for folder in covered):
            options += ["--ro-bind", str(view.covers / kind), path]
            covered.append(path)
    for path in rooms:
        options += ["--remount-ro", path]
    options += ["--perms", "0700", "--dir", _HOME]
    for link, target in tool_links(_HOME):
        options += ["--symlink", target, link]
    for path, place in view.copy.linked():
        options += ["--ro-bind-try", path, place]
    return options
