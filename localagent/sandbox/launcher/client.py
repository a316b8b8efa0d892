"""Starting launchers, and running one command through one.

A launcher (see launcher.py) is a process that has yet to be told what to do, so one can be
started ahead of time: the start of the interpreter is most of what a command costs.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localagent.core.errors import SandboxError
from localagent.core.interpreter import plain_python
from localagent.sandbox.base import Command, Completed
from localagent.sandbox.launcher.follow import Captured, Followed, follow

# The package's folder goes to the end of the path, so that nothing beside it hides a module of
# the standard library.
_CODE = (
    "import sys; sys.path.append({root!r}); "
    "from localagent.sandbox.launcher.main import main; main()"
)
_KILLED = -9


class Launcher:
    """One launcher process, which runs at most one job.

    Raises SandboxError where it cannot be started.
    """

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[3])
        code = _CODE.format(root=root)
        self._status, status = os.pipe()
        try:
            self._process = subprocess.Popen(
                plain_python("-c", code, str(status)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd="/",
                pass_fds=(status,),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            os.close(self._status)
            raise SandboxError(f"cannot start {sys.executable}: {error.strerror}") from None
        finally:
            os.close(status)

    @property
    def ready(self) -> bool:
        """Whether it still waits for a job."""
        return self._process.poll() is None

    def run(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Completed:
        """Run `job` with the limits of `command`; the launcher is used up.

        Raises SandboxError where the command could not be started.
        """
        captured = Captured(command.output_bytes, on_output)
        try:
            self._send(marshal.dumps(job))
            followed = follow(self._process, captured, command.seconds, cancelled, self.close)
            lines = self._lines()
        finally:
            self.close()
            os.close(self._status)
        return _completed(lines, captured, followed)

    def close(self) -> None:
        """Hang up: the launcher ends, with all that it started."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def dismiss(self) -> None:
        """End a launcher that was not used."""
        self.close()
        os.close(self._status)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.wait()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(len(data).to_bytes(8, "little") + data)
        try:
            while view:
                view = view[self._process.stdin.write(view) :]
        except OSError:
            pass  # it is gone; what it left to say is read by the caller

    def _lines(self) -> list[str]:
        """All that the launcher said; it has ended, so nothing more will come."""
        os.set_blocking(self._status, False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._status, 4096):
                data += part
        return data.decode(errors="replace").splitlines()


class Launchers:
    """Launchers for one command after another, the next one started ahead of time."""

    def __init__(self) -> None:
        self._waiting: Launcher | None = None

    def take(self) -> Launcher:
        """A launcher that waits for a job."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            if waiting.ready:
                return waiting
            waiting.dismiss()
        return Launcher()

    def prepare(self) -> None:
        """Start the launcher of the next command, while nobody waits for it."""
        if self._waiting is None:
            self._waiting = Launcher()

    def close(self) -> None:
        """End the waiting launcher."""
        if self._waiting is not None:
            self._waiting.dismiss()
            self._waiting = None


def _environment() -> dict[str, str]:
    """What the interpreter itself may need to start."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def _completed(lines: list[str], captured: Captured, followed: Followed) -> Completed:
    said = {line[:1]: line[2:] for line in lines}
    if "X" in said:
        exit_code = os.waitstatus_to_exitcode(int(said["X"]))
    elif "K" in said or followed.timed_out or followed.cancelled or _ended_unheard(said):
        exit_code = _KILLED
    else:
        reason = said.get("E") or captured.text().strip().rpartition("\n")[2] or "it ended early"
        raise SandboxError(
            f"the sandbox could not run the command: {reason}",
            "localagent/docs/sandbox.md says what the sandbox needs",
        )
    if "E" in said and exit_code == 126:
        raise SandboxError(f"the command could not be started: {said['E']}")
    return Completed(
        exit_code=exit_code,
        output=captured.text(),
        seconds=followed.seconds,
        timed_out=followed.timed_out,
        cancelled=followed.cancelled,
        dropped_bytes=captured.dropped,
        stopped=said.get("K", ""),
        refused=int(said.get("N") or 0),
        sockets=said.get("S", ""),
    )


def _ended_unheard(said: dict[str, str]) -> bool:
    """Whether the command began, and nobody was left to tell how it ended."""
    return "R" in said and "E" not in said


def common(
    command: Command,
    env: dict[str, str],
    cwd: str,
    written: list[str],
    *,
    count_processes: bool,
    ports: Sequence[int] = (),
) -> dict[str, Any]:
    """What the jobs of all kinds hold; `written` are the folders that the command fills, `ports`
    those of this machine that it may reach."""
    return {
        "argv": ["/bin/sh", "-c", command.line],
        "env": env,
        "cwd": cwd,
        "limits": limits(command, count_processes=count_processes),
        "processes": command.processes,
        "memory": command.total_memory_bytes,
        "written": written,
        "disk": command.disk_bytes,
        "ports": list(ports),
        "counts": False,
    }


def limits(command: Command, *, count_processes: bool) -> list[tuple[str, int]]:
    """The resource limits of `command`: names of RLIMIT_* and values; 0 in a command means none.

    Memory is bounded by RLIMIT_DATA: the JVM and V8 reserve more address space than any machine
    has (RLIMIT_AS would stop them), and use little of it.
    """
    found = [("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 4096)]
    if command.memory_bytes:
        found.append(("RLIMIT_DATA", command.memory_bytes))
    if command.file_bytes:
        found.append(("RLIMIT_FSIZE", command.file_bytes))
    if command.processes and count_processes:
        found.append(("RLIMIT_NPROC", command.processes))
    return found
