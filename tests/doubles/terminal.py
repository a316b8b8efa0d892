"""localagent at a real terminal (a pty), as a person uses it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A program at a pty: `until` reads to a text, `type` writes keys."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.shown = ""
        self._fd = fd
        self._from = 0

    def until(self, text: str) -> None:
        """Read until `text` was shown after what was found before."""
        while text not in self.shown[self._from :]:
            try:
                data = os.read(self._fd, 4096)
            except OSError:  # Linux's way to say that the other side is closed
                data = b""
            assert data, f"the program ended before it showed {text!r}:\n{self.shown}"
            self.shown += data.decode("utf-8", "replace")
        self._from = self.shown.index(text, self._from) + len(text)

    def rest(self) -> int:
        """Read to the end; returns the exit code."""
        while True:
            try:
                data = os.read(self._fd, 4096)
            except OSError:
                data = b""
            if not data:
                return self.process.wait(timeout=60)
            self.shown += data.decode("utf-8", "replace")

    def type(self, keys: str) -> None:
        """Press `keys`."""
        os.write(self._fd, keys.encode())


@contextmanager
def at_terminal(command: list[str], cwd: Path, **env: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env={
            **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")},
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            **env,
        },
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=lambda: os.login_tty(0) if hasattr(os, "login_tty") else os.setsid(),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
