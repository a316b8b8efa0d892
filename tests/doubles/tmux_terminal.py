"""A real terminal for tests: a shell in tmux, in which localagent is started and typed to."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; a busy machine is no fault of ours
READING_SECONDS = 0.4  # a key that comes sooner was meant for the draft
SHELL_PROMPT = "sh$"
_NUMBERS = count()


class Tmux:
    """A pane of `width` and `height`, with a plain shell in `folder`; `patience` in seconds."""

    def __init__(
        self,
        folder: Path,
        *,
        width: int = 90,
        height: int = 30,
        patience: float = PATIENCE,
        **env: str,
    ) -> None:
        self._patience = patience
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
        self._socket = f"localagent-test-{os.getpid()}-{next(_NUMBERS)}"
        clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TMUX", "COLORFGBG")}
        wanted = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests/doubles'}", "LC_ALL": "C.UTF-8", **env}
        settings = folder.parent / "shell-settings"
        settings.write_text(f"PS1='{SHELL_PROMPT} '\n")
        self._env = {**clean, **wanted, "ENV": str(settings), "TMUX_TMPDIR": "/tmp"}
        self._tmux(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            str(width),
            "-y",
            str(height),
            "-c",
            str(folder),
            "sh",
        )
        self._tmux("set-option", "-g", "history-limit", "5000")
        self.until(SHELL_PROMPT)

    def start(self, *words: str, program: str = "-m localagent") -> None:
        """Start localagent with these arguments."""
        self.type(f"clear; {shlex.quote(sys.executable)} {program} {shlex.join(words)}")
        self.keys("Enter")

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self._tmux("send-keys", "-l", "--", text)

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names: "Enter", "C-c", "M-Enter", "BTab"."""
        self._tmux("send-keys", *names)

    def paste(self, text: str) -> None:
        """Paste as a terminal does, in brackets."""
        subprocess.run(
            ["tmux", "-L", self._socket, "load-buffer", "-"],
            input=text.encode(),
            env=self._env,
            check=True,
        )
        self._tmux("paste-buffer", "-p", "-r")

    def resize(self, width: int, height: int) -> None:
        """Make the window another size."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, *, scrollback: bool = False, codes: bool = False) -> str:
        """What is shown, without spaces at the ends of lines."""
        words = ["-p"] + (["-S", "-"] if scrollback else []) + (["-e"] if codes else [])
        text = self._tmux("capture-pane", *words)
        return "\n".join(line.rstrip() for line in text.split("\n")).rstrip("\n") + "\n"

    def until(
        self, wanted: str, *, gone: str = "", after: str = "", scrollback: bool = False
    ) -> str:
        """Wait for a screen that holds `wanted` (and not `gone`) behind the last `after`, and
        return it."""
        end = time.monotonic() + self._patience
        while True:
            shown = self.screen(scrollback=scrollback)
            at = shown.rfind(after) if after else 0
            if at >= 0 and wanted in shown[at + len(after) :] and not (gone and gone in shown):
                return shown
            assert time.monotonic() < end, f"no {wanted!r} (or still {gone!r}) in:\n{shown}"
            time.sleep(0.03)

    def ready(self) -> str:
        """Wait until the session is open and nothing runs."""
        return self.until("ask mode", gone="opening the session")

    def send(self, text: str) -> None:
        """Type a line and send it."""
        self.type(text)
        self.until(text[-30:])
        self.keys("Enter")

    def answer(self, key: str) -> None:
        """Answer a question with a key, as somebody who has read it first."""
        time.sleep(READING_SECONDS)
        self.keys(key)

    def pid(self) -> int:
        """The process id of localagent, a child of the shell."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        found = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
        return int(found.stdout.split()[0])

    def close(self) -> None:
        """Close the terminal, as the user does with a window."""
        subprocess.run(
            ["tmux", "-L", self._socket, "kill-server"],
            env=self._env,
            capture_output=True,
            check=False,
        )

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *words],
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


_INDEX_LINES = re.compile(
    r"^(?:! the index is still being[^\n]*\n(?:  [^\n]*so far\n)?|• waiting for the index\n)", re.M
)
"""What a session says on a busy machine while its index is being built."""


def timeless(screen: str) -> str:
    """A screen without what differs from run to run, or with the texts that models see: times, ids,
    hashes, sizes, the home folder, the version, counts of tokens, whether the index is ready."""
    screen = _INDEX_LINES.sub("", screen)
    screen = re.sub(r"\b[\d,]+(?=( tokens read|\s+reused|\s+written)\b)", "123", screen)
    screen = re.sub(r"\bcontext \d+%", "context 3%", screen)
    screen = re.sub(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\b", "2026-11-22T17:08:09", screen)
    screen = re.sub(r"\b\d{4}-\d\d-\d\d(?= \d\d:\d\d\b)", "2026-11-22", screen)
    screen = re.sub(r"\b[0-9a-f]{16,64}\b", "0a1b2c3d", screen)
    screen = re.sub(r"\b[0-9.]+ kB\b", "1 kB", screen)
    screen = re.sub(r"/tmp/\S*?/home\d+/", "/home/me/", screen)
    screen = re.sub(r"\b\d\d:\d\d\b", "12:34", screen)
    screen = re.sub(r"\b\d{8}-\d{4}-\w{4}\b", "20261122-1708-ab3d", screen)
    screen = re.sub(r"localagent \d+\.\d+\.\d+", "localagent 1.2.3", screen)
    return re.sub(r"\b\d+(\.\d)? s\b", "0.1 s", screen)
