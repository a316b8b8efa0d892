"""Ctrl-C and SIGTERM: the first stops the turn cleanly, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from localagent.errors import Interrupted

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Interrupts:
    """While it is entered, handles the signals that ask the program to end.

    Before `cancel` is set, and while `asking` is true (a read of the terminal goes on after a
    handler that returns), the first signal raises KeyboardInterrupt. Later the first calls
    `cancel`; the second raises KeyboardInterrupt; the third ends the process without cleaning up.
    """

    def __init__(self) -> None:
        self.cancel: Callable[[], None] | None = None
        self.asking = False
        self._count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is not threading.main_thread():
            return self
        for name in _NAMES:
            number = getattr(signal, name, None)
            # What is ignored on purpose (nohup, a shell's background job) stays ignored.
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:
            os._exit(Interrupted.exit_code)
        if self.cancel is None or self.asking or self._count > 1:
            raise KeyboardInterrupt
        # In a thread of its own: the main thread may hold the very lock that cancelling needs.
        threading.Thread(target=self.cancel, name="cancel", daemon=True).start()
