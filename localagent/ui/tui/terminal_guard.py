"""The terminal is put right again whatever becomes of this process, kill -9 included.

A child process waits at a pipe. Where the pipe closes without a farewell, it gives the terminal
back the settings that it had, and switches off what a prompt switched on. (A shell such as bash
does the first by itself; a plain sh does not.)
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RESET = b"\x1b[J\x1b[?2004l\x1b[?1l\x1b[?25h\x1b[0m\r\n"
"""Bracketed paste and application keys off, the cursor shown, colours as usual, a fresh line."""

_FAREWELL = b"."


@contextmanager
def guarded(terminal: int) -> Iterator[None]:
    """Watch over `terminal`, a file descriptor. Call it before there are threads.

    What is typed while everything starts is kept as it is, for the prompt: Enter stays Enter.
    """
    if sys.platform == "win32" or not os.isatty(terminal):
        yield
        return
    import termios

    settings = termios.tcgetattr(terminal)
    watch, alive = os.pipe()
    child = os.fork()
    if child == 0:
        _wait_and_restore(watch, alive, terminal, settings)
    os.close(watch)
    try:
        _quiet(terminal, settings)
        yield
    finally:
        try:
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
        except termios.error:
            pass  # the terminal is gone
        try:
            os.write(alive, _FAREWELL)
        except OSError:
            pass  # somebody ended the child
        os.close(alive)
        os.waitpid(child, 0)


def _quiet(terminal: int, settings: list[Any]) -> None:
    """No echo, and keys one by one; Ctrl-C still interrupts."""
    import termios

    changed = [*settings[:6], [*settings[6]]]
    changed[0] &= ~termios.ICRNL
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSANOW, changed)


def _wait_and_restore(watch: int, alive: int, terminal: int, settings: list[Any]) -> None:
    """The child's whole life; never returns."""
    import termios

    try:
        os.close(alive)
        # Signals meant for the session go to its whole group; writing settings from the
        # background would stop this process.
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGTTIN"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        if os.read(watch, 1) != _FAREWELL:
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
            os.write(terminal, RESET)
    except (OSError, termios.error):
        pass  # the terminal is gone; there is nothing to put right
    finally:
        os._exit(0)
