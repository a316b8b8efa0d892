"""A localagent at a pty of its own, for tests that end it in unkind ways."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import uuid
from fcntl import ioctl
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds; a busy machine is no fault of ours
_MARK = "LOCALAGENT_TEST_SESSION"


class PtySession:
    """A session in `folder`, begun with `words` behind `localagent`."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.mark = uuid.uuid4().hex
        self.seen = b""
        self._master, self._slave = pty.openpty()
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._modes = termios.tcgetattr(self._slave)
        self.began = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._master)
            os.login_tty(self._slave)
            os.chdir(folder)
            os.environ.update(
                {_MARK: self.mark, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
                PYTHONPATH=str(ROOT),
            )
            os.execv(sys.executable, [sys.executable, "-m", "localagent", *words])

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._master, text.encode())

    def read(self, seconds: float) -> None:
        """Take what is written in so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._master], [], [], left)[0]:
                self.seen += os.read(self._master, 1 << 16)

    def until(self, wanted: str) -> None:
        """Read until `wanted` was written."""
        end = time.monotonic() + PATIENCE
        while wanted.encode() not in self.seen:
            assert time.monotonic() < end, f"no {wanted!r} in {self.seen[-3000:]!r}"
            self.read(0.02)

    def kill(self) -> None:
        """kill -9, and then wait until the terminal has its modes back."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        end = time.monotonic() + PATIENCE
        while termios.tcgetattr(self._slave) != self._modes:
            assert time.monotonic() < end, "the terminal has not got its modes back"
            self.read(0.02)
        self.read(0.02)

    def hang_up(self) -> None:
        """Close the terminal, and wait for the end of the session. As where a shell dies with its
        terminal, it is told more than once."""
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1
        self.wait(signal.SIGHUP)

    def wait(self, meanwhile: int = 0) -> int:
        """Wait for the end by itself, with a signal sent again and again; the exit code."""
        end = time.monotonic() + PATIENCE
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            assert time.monotonic() < end, "it does not end"
            if meanwhile:
                os.kill(self.pid, meanwhile)
            if self._master >= 0:
                self.read(0.02)
            else:
                time.sleep(0.02)
        return os.waitstatus_to_exitcode(ended[1])

    def left_behind(self) -> list[str]:
        """What still runs of the session once its processes have had time to end."""
        end = time.monotonic() + PATIENCE
        while (left := _marked(self.mark)) and time.monotonic() < end:
            time.sleep(0.02)
        return left

    def close(self) -> None:
        """Let go of the terminal, and of the process."""
        for number in (self._master, self._slave):
            if number >= 0:
                os.close(number)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def _marked(mark: str) -> list[str]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found
