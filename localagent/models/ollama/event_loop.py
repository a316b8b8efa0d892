"""An event loop in a thread of its own, and what it produces, taken from another thread.

The core is synchronous; a request that can be cancelled at any moment is not. A blocking client
cannot be stopped from outside; a task in this loop can, with `call_soon_threadsafe`, and its
connection is closed within milliseconds.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Work = Callable[[Callable[[T], None]], Coroutine[Any, Any, None]]

_LOOK = 0.5  # seconds; a wait without limit could not be interrupted by Ctrl-C on Windows
_END = 5.0  # seconds that a cancelled task has to close its connections


class Loop:
    """The loop and its thread, which starts at the first need and never keeps a process alive."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether there is anything to close."""
        return self._loop is not None

    def call(self, function: Callable[..., object], *args: object) -> None:
        """Have `function` called in the loop, in the order of these calls."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="ollama", daemon=True
            )
            self._thread.start()
        self._loop.call_soon_threadsafe(function, *args)

    def close(self) -> None:
        """End the loop; nothing may run in it any more."""
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()


class Produced(Generic[T]):
    """What `work` produces in `loop`, as an iterator; `work` is given the function to call.

    It raises what `work` raises, and just ends where it was cancelled.
    """

    def __init__(self, loop: Loop, work: Work[T]) -> None:
        self._loop = loop
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        loop.call(self._start, work)

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item = self._items.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if item is None:
                break
            yield item
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """End the work soon. May be called from any thread, more than once."""
        if not self._ended.is_set():
            self._loop.call(self._cancel)

    def close(self) -> None:
        """Cancel the work, if it still runs, and wait until its connections are closed."""
        self.cancel()
        self._ended.wait(_END)

    def _start(self, work: Work[T]) -> None:
        self._task = asyncio.get_running_loop().create_task(work(self._items.put))
        self._task.add_done_callback(self._done)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._error = None if task.cancelled() else task.exception()
        self._ended.set()
        self._items.put(None)
