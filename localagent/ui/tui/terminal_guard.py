"""Restores the terminal at the end of this process, even after kill -9.

A child process waits at a pipe. If the pipe closes without a final message, the child restores the
terminal's settings and turns off the modes that a prompt uses. (bash restores the settings itself;
a plain sh does not.)
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

RESET = b"\x1b[J\x1b[?2004l\x1b[?1l\x1b[?25h\x1b[0m\r\n"
"""Control codes: turn off bracketed paste and application keys, show the cursor, reset colors."""

_FAREWELL = b"."


@contextmanager
def guarded(terminal: int) -> Iterator[None]:
    """Guard the terminal with this file descriptor. Use the context before threads start.

    Keys that the user types during start-up, such as Enter, reach the prompt unchanged.
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
            pass  # another process ended the child
        os.close(alive)
        os.waitpid(child, 0)


def _quiet(terminal: int, settings: list[Any]) -> None:
    """Turn off echo and read keys one by one; Ctrl-C still interrupts."""
    import termios

    changed = [*settings[:6], [*settings[6]]]
    changed[0] &= ~termios.ICRNL
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
    termios.tcsetattr(terminal, termios.TCSANOW, changed)


def _wait_and_restore(watch: int, alive: int, terminal: int, settings: list[Any]) -> None:
    """Wait in the child process and restore the terminal; never return."""
    import termios

    try:
        os.close(alive)
        # The session's signals go to its whole process group. SIGTTOU stops a background process
        # that writes settings.
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGTTIN"):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        if os.read(watch, 1) != _FAREWELL:
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)
            os.write(terminal, RESET)
    except (OSError, termios.error):
        pass  # the terminal is gone; nothing to restore
    finally:
        os._exit(0)
