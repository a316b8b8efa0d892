"""Start launchers, and run one command through each.

A launcher (see main.py) is a process that waits for a job. localagent starts the next launcher
ahead of time, since the start of the interpreter is most of a command's overhead.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localagent.core.errors import SandboxError
from localagent.core.interpreter import plain_python
from localagent.core.programs import safe_folders
from localagent.sandbox.base import Command, CommandInput, CommandResult
from localagent.sandbox.launcher.follow import FollowResult, OutputBuffer, follow

# The package's folder comes last in the path, so that no file next to the package hides a module of
# the standard library.
_CODE = (
    "import sys; sys.path.append({root!r}); "
    "from localagent.sandbox.launcher.main import main; main()"
)
_KILLED = -9


class Launcher:
    """One launcher process, which runs at most one job.

    Raises SandboxError if the process cannot start.
    """

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[3])
        code = _CODE.format(root=root)
        # Without these folders, the interpreter itself may fail to start.
        libraries = os.pathsep.join(safe_folders("LD_LIBRARY_PATH"))
        self._status, status = os.pipe()
        input_reader, self._input = os.pipe()
        try:
            self._process = subprocess.Popen(
                plain_python("-c", code, str(status), str(input_reader)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"LD_LIBRARY_PATH": libraries} if libraries else {},
                cwd="/",
                pass_fds=(status, input_reader),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            os.close(self._status)
            os.close(self._input)
            raise SandboxError(f"cannot start {sys.executable}: {error.strerror}") from None
        finally:
            os.close(status)
            os.close(input_reader)

    @property
    def ready(self) -> bool:
        """True while the launcher waits for a job."""
        return self._process.poll() is None

    def run(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        """Run `job` with the limits of `command`; the launcher takes no job after it.

        Raises SandboxError if the command cannot start.
        """
        output = OutputBuffer(command.output_bytes, on_output)
        pipe = command.input or CommandInput()
        pipe.connect(self._input)
        try:
            self._send(marshal.dumps(job))
            end = follow(self._process, output, command.seconds, cancelled, self.close)
            lines = self._status_lines()
        finally:
            self.close()
            pipe.close()
            os.close(self._status)
        return _result(lines, output, end)

    def close(self) -> None:
        """Hang up: the launcher ends, and so does everything that it started."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def dismiss(self) -> None:
        """End a launcher that ran no job."""
        self.close()
        os.close(self._input)
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
            pass  # the launcher has ended; the caller reads its last status

    def _status_lines(self) -> list[str]:
        """Return all lines of the status; the launcher has ended, so no more lines will come."""
        os.set_blocking(self._status, False)
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._status, 4096):
                data += part
        return data.decode(errors="replace").splitlines()


class LauncherPool:
    """Launchers for commands; the next one starts ahead of time. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Launcher | None = None

    def take(self) -> Launcher:
        """Return a launcher that waits for a job."""
        with self._lock:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            if waiting.ready:
                return waiting
            waiting.dismiss()
        return Launcher()

    def prepare(self) -> None:
        """Start the launcher of the next command, while nobody waits for it."""
        with self._lock:
            if self._waiting is None:
                self._waiting = Launcher()

    def close(self) -> None:
        """End the waiting launcher."""
        if self._waiting is not None:
            self._waiting.dismiss()
            self._waiting = None


def _result(lines: list[str], output: OutputBuffer, end: FollowResult) -> CommandResult:
    status = {line[:1]: line[2:] for line in lines}
    ended_without_report = "R" in status and "E" not in status
    if "X" in status:
        exit_code = os.waitstatus_to_exitcode(int(status["X"]))
    elif "K" in status or end.timed_out or end.cancelled or ended_without_report:
        exit_code = _KILLED
    else:
        reason = (
            status.get("E")
            or output.text().strip().rpartition("\n")[2]
            or "the launcher ended early"
        )
        raise SandboxError(
            f"the sandbox could not run the command: {reason}",
            "localagent docs sandbox says what the sandbox needs",
        )
    if "E" in status and exit_code == 126:
        raise SandboxError(f"the command could not be started: {status['E']}")
    return CommandResult(
        exit_code=exit_code,
        output=output.text(),
        seconds=end.seconds,
        timed_out=end.timed_out,
        cancelled=end.cancelled,
        dropped_bytes=output.dropped,
        stopped=status.get("K", ""),
        blocked_connections=int(status.get("N") or 0),
        blocked_sockets=status.get("S", ""),
    )


def base_job(
    command: Command,
    env: dict[str, str],
    cwd: str,
    written: list[str],
    *,
    count_processes: bool,
    ports: Sequence[int] = (),
) -> dict[str, Any]:
    """Return the keys of a job that every kind has (see main.py).

    With `count_processes`, the kernel counts the processes of this user. RLIMIT_DATA bounds memory,
    since RLIMIT_AS would stop the JVM and V8: they reserve far more address space than they use. A
    limit of 0 in the command means no limit.
    """
    limits = [("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 4096)]
    if command.memory_bytes:
        limits.append(("RLIMIT_DATA", command.memory_bytes))
    if command.file_bytes:
        limits.append(("RLIMIT_FSIZE", command.file_bytes))
    if command.processes and count_processes:
        limits.append(("RLIMIT_NPROC", command.processes))
    return {
        "argv": ["/bin/sh", "-c", command.line],
        "env": env,
        "cwd": cwd,
        "limits": limits,
        "processes": command.processes,
        "memory": command.total_memory_bytes,
        "written": written,
        "disk": command.disk_bytes,
        "ports": list(ports),
        "isolated_network": False,
        "input": command.input is not None,
    }
