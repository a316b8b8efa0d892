"""Runs asynchronous requests for the synchronous core.

A blocking client cannot be stopped from outside. So requests run in the event loop of an anyio
portal, in a thread of its own. A `BackgroundRun` hands over what they emit; its cancellation closes
the connection within milliseconds.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, Protocol, TypeVar

from anyio import CancelScope
from anyio.from_thread import BlockingPortal, start_blocking_portal

T = TypeVar("T")

_POLL = 0.5  # seconds; a wait without limit could not be interrupted by Ctrl-C on Windows
_CLOSE = 5.0  # seconds that cancelled work has to close its connections


class BackgroundRun(Generic[T]):
    """The values that `work` emits in the thread of `portal`, as an iterator for another thread.

    `work` gets the function that emits. The iterator raises the error of `work`; it just ends if
    `work` was cancelled.
    """

    def __init__(
        self, portal: BlockingPortal, work: Callable[[Callable[[T], None]], Awaitable[None]]
    ) -> None:
        self._items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._future = portal.start_task_soon(self._run, work)

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item = self._items.get(timeout=_POLL)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                break
            yield item
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """End the work soon. May be called from any thread, more than once."""
        self._future.cancel()

    def close(self) -> None:
        """Cancel the work, and wait until its connections are closed."""
        self.cancel()
        self._ended.wait(_CLOSE)

    async def _run(self, work: Callable[[Callable[[T], None]], Awaitable[None]]) -> None:
        try:
            await work(self._items.put)
        except Exception as error:  # noqa: BLE001 - the iterator raises it
            self._error = error
        finally:
            self._ended.set()
            self._items.put(_End())


class _End:
    """Stands in the queue for the end of the work."""


class Closable(Protocol):
    """A connection that must be closed in its event loop."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


def run_once(client: C, work: Callable[[C], Awaitable[T]]) -> T:
    """Run `work` with a client, and close the client. Raises the errors of `work`."""

    async def run(emit: Callable[[T], None]) -> None:
        try:
            emit(await work(client))
        finally:
            with CancelScope(shield=True):
                await client.close()

    with start_blocking_portal() as portal:
        (result,) = BackgroundRun[T](portal, run)
    return result
