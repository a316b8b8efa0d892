"""Runs other programs: their output goes to the log, and they end with the setup."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from setuplib.console import SetupError

_SECONDS_TO_END = 5.0
_NO_ANSWER = ("Retrying (", "Max retries", "ConnectionError", "Could not fetch URL")
_NOT_FOUND = re.compile(
    r'Could not find a package configuration file provided by\s+"([^"]+)"'
    r"|Could NOT find (\S+) \(missing"
)
OnLine = Callable[[str], None]


def _ignore(line: str) -> None:
    """Ignore a line: only the log needs it."""


class Runner:
    """Runs programs one at a time.

    `lock` is the descriptor of the setup's lock, which children inherit. So the lock stays held
    while a compiler of a killed setup still writes into the build folder.
    """

    def __init__(self, log: Path, lock: int) -> None:
        self.log_path, self.lock = log, lock
        self.log: TextIO | None = None

    def run(
        self,
        command: Sequence[object],
        env: dict[str, str],
        on_line: OnLine = _ignore,
        cwd: Path | None = None,
    ) -> tuple[int, list[str]]:
        """The exit code and the last lines of a program's output (stdout and stderr together)."""
        log = self._log()
        words = [str(part) for part in command]
        log.write(f"\n$ {shlex.join(words)}\n")
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            start_new_session=True,
            pass_fds=(self.lock,),
        )
        last: list[str] = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                log.write(line)
                last = [*last[-199:], line.rstrip()]
                on_line(line)
            return process.wait(), last
        finally:
            if process.poll() is None:
                _end(process)
            log.flush()

    def must(
        self,
        command: Sequence[object],
        env: dict[str, str],
        failed: str,
        hint: str = "",
        on_line: OnLine = _ignore,
        cwd: Path | None = None,
    ) -> list[str]:
        """Run a program that must succeed. Raises SetupError with `failed` and the reason."""
        code, last = self.run(command, env, on_line, cwd)
        if code != 0:
            raise explain(failed, last, hint, self.log_path)
        return last

    def _log(self) -> TextIO:
        if self.log is None:
            self.log_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.log = self.log_path.open("w", 1, encoding="utf-8", errors="replace")
            self.log.write(time.strftime("setup of %Y-%m-%d %H:%M:%S\n"))
        return self.log


def foreground(
    command: Sequence[object],
    env: dict[str, str],
    cwd: Path,
    stdout: int | None = None,
    lock: int | None = None,
) -> int:
    """Run a program on this terminal; returns its exit code (128 + n for signal n).

    Ctrl-C also reaches the program, which is killed if it does not end within seconds. Raises
    KeyboardInterrupt.
    """
    keep = () if lock is None else (lock,)
    words = [str(part) for part in command]
    process = subprocess.Popen(words, env=env, cwd=cwd, stdout=stdout, pass_fds=keep)
    try:
        code = process.wait()
    except KeyboardInterrupt as interrupt:
        # The terminal sends Ctrl-C to the program as well; a signal reaches only this process.
        if interrupt.args:
            process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_SECONDS_TO_END)
        process.kill()
        process.wait()
        raise
    return code if code >= 0 else 128 - code


def explain(failed: str, lines: list[str], hint: str, log: Path) -> SetupError:
    """The error for a failed program, from its output."""
    text = "\n".join(lines)
    errors = [line for line in lines if "error" in line.lower()] or lines
    reason = errors[-1].strip() if errors else "it printed nothing"
    if os.strerror(errno.ENOSPC) in text or "disk full" in text.lower():
        return full_disk(failed)
    if "Killed signal" in text or "cannot allocate memory" in text.lower():
        reason, hint = "out of memory", "free some memory, and run it again: it continues from here"
    elif "DO NOT MATCH THE HASHES" in text:
        reason = "a downloaded file is not the pinned one"
        hint = "the package index gives other files than those locked; nothing was installed"
    elif any(sign in text for sign in _NO_ANSWER):
        reason = "the package index does not answer"
        hint = (
            "check the network and pip's settings (pip config list; PIP_INDEX_URL, HTTPS_PROXY), "
            "and run it again: it continues from here"
        )
    elif missing := _NOT_FOUND.search(text):
        reason = f"CMake does not find {missing[1] or missing[2]}"
    elif "No matching distribution" in text:
        reason = "the package index has no file for it: " + reason.removeprefix("ERROR: ")
        hint = "this Python or platform may be too new or too rare; LOCALAGENT_PYTHON names another"
    return SetupError(f"{failed}: {reason[:300]}", hint, str(log))


def full_disk(failed: str) -> SetupError:
    """The error for a full disk."""
    return SetupError(
        f"{failed}: the disk is full",
        "make room, or set XDG_CACHE_HOME and XDG_DATA_HOME to folders on a larger disk, and run "
        "it again: it continues from here",
    )


def _end(process: subprocess.Popen[str]) -> None:
    """End a program and its children; the first signals let it clean up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        _signal_all(process, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)
            break
    _signal_all(process, signal.SIGKILL)
    process.wait()


def _signal_all(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
