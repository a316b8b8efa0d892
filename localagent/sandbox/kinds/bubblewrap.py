"""The sandbox "bubblewrap": namespaces that the installed program `bwrap` makes.

Some systems let only bwrap make user namespaces, by an AppArmor profile or as a set-user-id
program. The snapshot is a copy of the workspace, mounted at the workspace's own path. Hidden paths,
limits and the filter on system calls are the same as in the sandbox "unshare".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from localagent.core.errors import SandboxError
from localagent.core.interpreter import plain_python
from localagent.core.programs import find_program
from localagent.egress.splice import HAND_OVER
from localagent.sandbox.base import Command, CommandResult
from localagent.sandbox.environment import scrubbed, tool_links
from localagent.sandbox.launcher.client import base_job
from localagent.sandbox.snapshots.copy_snapshot import ConfinedCopies, CopySnapshot, Run
from localagent.sandbox.visible_paths import Mount, mounts

_HOME = "/tmp/.localagent-home"
_OBJECTS = "/tmp/.localagent-objects"  # mount point of the real repository's objects
_TMP_BYTES = 2 << 30  # size of /tmp, a file system in memory
_TRIES = 3  # attempts: a path to cover, such as a socket, may vanish meanwhile
# The capabilities (CAP_*) that root keeps, as in linux/syscalls.py.
_FILE_CAPABILITIES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID")
_RESTRICT = (
    "import sys; sys.path.append({root!r}); "
    "from localagent.sandbox.launcher.write_limit import main; main()"
)
# A shell inside the user namespace sets the limit on processes, so that the user's other processes
# do not count. The option of `ulimit` is -u in bash, and -p in dash.
_LINE = 'ulimit -u "$1" 2>/dev/null || ulimit -p "$1"; exec /bin/sh -c "$2"'


class BubblewrapSandbox(ConfinedCopies):
    """Runs commands confined by bwrap. Raises SandboxError if bwrap is not installed."""

    kind = "bubblewrap"
    mounted = _OBJECTS

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        super().__init__(base, ports)
        found = find_program("bwrap")
        if found is None:
            raise SandboxError("the program bwrap was not found", "install the package bubblewrap")
        self._program = os.path.realpath(found)

    def runner(self, workspace: Path) -> Run:
        """See ConfinedCopies."""
        return partial(self._run, mounts(workspace))

    def _run(
        self,
        wanted: list[Mount],
        snapshot: CopySnapshot,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult:
        if not Path(snapshot.tree, command.cwd).is_dir():  # bwrap's own error is misleading
            raise SandboxError(f"the command could not be started: no folder {command.cwd}")
        env = scrubbed(_HOME, "/tmp", snapshot.copy.build_folder("/tmp") | command.env)
        written = [str(snapshot.tree.parent)]
        for _ in range(_TRIES):
            present = [m for m in wanted if _can_mount(m) and _is_in_copy(m[1], snapshot)]
            job = self._job(present, snapshot, command, env, written)
            try:
                return self.launch(job, command, on_output, cancelled)
            except SandboxError as error:
                failed = error
                if all(os.path.lexists(path) for _, path, _ in present):
                    break
        raise failed

    def _job(
        self,
        present: list[Mount],
        snapshot: CopySnapshot,
        command: Command,
        env: dict[str, str],
        written: list[str],
    ) -> dict[str, Any]:
        limit = str(command.processes) if command.processes else "unlimited"
        cwd = os.path.normpath(snapshot.workspace / command.cwd)
        private = [str(snapshot.workspace), "/dev"]
        private += [path for kind, path, _ in present if kind == "tmp"]
        return {
            **base_job(command, env, "/", written, count_processes=False, ports=self.ports),
            "kind": "bubblewrap",
            "private_mounts": private,
            "argv": [
                *(self._program, *_always(), *_mounts(present, snapshot), "--chdir", cwd, "--"),
                *self._listening(),
                *_restricting(private),
                *("/bin/sh", "-c", _LINE, "sh", limit, command.line),
            ],
        }

    def _listening(self) -> tuple[str, ...]:
        """Return the command line of a program that listens inside, then executes the command."""
        if not self.ports:
            return ()
        python = plain_python("-c", HAND_OVER, "RELAY", ",".join(map(str, self.ports)))
        return tuple(python)


def _restricting(folders: Sequence[str]) -> list[str]:
    """Return the command line of a program that restricts writing, then executes the command."""
    code = _RESTRICT.format(root=str(Path(__file__).resolve().parents[3]))
    return plain_python("-c", code, *folders, "--")


def _can_mount(mount: Mount) -> bool:
    """Report whether a path exists and bwrap can reach it.

    Neither bwrap nor the command can enter a folder that only another user may enter. Inside the
    sandbox, root has no rights to the files of other users.
    """
    kind, path, _ = mount
    if not os.path.lexists(path):
        return False
    return kind in ("tmp", "workspace", "keep") or all(map(_may_enter, Path(path).parents))


def _is_in_copy(path: str, snapshot: CopySnapshot) -> bool:
    """Report whether a path lies outside of the workspace, or exists in the workspace's copy.

    The copy lacks sockets, for example; bwrap would create a file in the copy to mount a cover on.
    """
    if not Path(path).is_relative_to(snapshot.workspace):
        return True
    return os.path.lexists(snapshot.tree / Path(path).relative_to(snapshot.workspace))


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
    """Return bwrap's options for every run; the launcher replaces STATUS, FILTER and RELAY."""
    options = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    options += ["--new-session", "--hostname", "sandbox", "--json-status-fd", "STATUS"]
    options += ["--seccomp", "FILTER", "--cap-drop", "ALL"]
    if os.geteuid() == 0:
        for name in _FILE_CAPABILITIES:
            options += ["--cap-add", name]
    return options


def _mounts(present: list[Mount], snapshot: CopySnapshot) -> list[str]:
    options = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    options += ["--remount-ro", "/proc"]  # the kernel still treats root inside as user 0
    partly_hidden: list[str] = []
    covered: list[str] = []  # everything below these folders is hidden already
    for kind, path, partial_cover in present:
        if kind == "tmp":
            options += ["--size", str(_TMP_BYTES), "--perms", "1777", "--tmpfs", path]
        elif kind == "workspace":
            options += ["--bind", str(snapshot.tree), path]
        elif kind == "keep":
            options += ["--ro-bind", path, path]
        elif partial_cover:
            options += ["--size", str(64 << 10), "--perms", "0755", "--tmpfs", path]
            partly_hidden.append(path)
        elif not any(path.startswith(f"{folder}/") for folder in covered):
            options += ["--ro-bind", str(snapshot.covers / kind), path]
            covered.append(path)
    for path in partly_hidden:
        options += ["--remount-ro", path]
    options += ["--perms", "0700", "--dir", _HOME]
    for link, target in tool_links(_HOME):
        options += ["--symlink", target, link]
    for path, target in snapshot.copy.linked():
        options += ["--ro-bind-try", path, target]
    return options
