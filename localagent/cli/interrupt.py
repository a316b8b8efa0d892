"""Ctrl-C and SIGTERM: the first signal stops the turn cleanly, the second ends the program."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from localagent.core.errors import Interrupted

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts:
    """A context manager that handles SIGINT, SIGTERM and SIGHUP.

    The first signal calls `cancel`, the second raises KeyboardInterrupt, the third ends the process
    without cleanup. While `cancel` is None or `asking` is true, the first signal also raises
    KeyboardInterrupt: if the handler returned, a read of the terminal would continue.
    """

    def __init__(self) -> None:
        self.cancel: Callable[[], None] | None = None
        self.asking = False
        self._count = 0
        self._before: dict[int, Any] = {}
        self._wake: tuple[int, int] | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self
        for name in _NAMES:
            number = getattr(signal, name, None)
            # A signal that is ignored on purpose (nohup, a background job) stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        if sys.platform != "win32":
            self._wake = os.pipe()
            for end in self._wake:
                os.set_blocking(end, False)
            signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._wake is not None:
            signal.set_wakeup_fd(-1)
            for end in self._wake:
                os.close(end)
            self._wake = None

    def read_line(self) -> str:
        """Read a line from the user. Raises KeyboardInterrupt if a signal arrives first.

        A plain read would not see a signal that arrived just before the read. The wake-up pipe
        keeps such a signal until this method waits.
        """
        if self._wake is None:
            return sys.stdin.readline()
        while True:
            ready, _, _ = select.select([sys.stdin, self._wake[0]], [], [])
            if sys.stdin in ready:
                return sys.stdin.readline()
            os.read(self._wake[0], 64)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:
            os._exit(Interrupted.exit_code)
        if self.cancel is None or self.asking or self._count > 1:
            raise KeyboardInterrupt
        # `cancel` runs in another thread, because the main thread may hold the lock that `cancel`
        # needs.
        threading.Thread(target=self.cancel, name="cancel", daemon=True).start()
