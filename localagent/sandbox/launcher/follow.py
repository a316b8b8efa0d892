"""Following a child process to its end: output, time limit, cancelling.

The same on every system: a thread reads the pipe, the caller's thread does all the rest, so
`on_output` and `cancelled` are called where the caller lives.
"""

from __future__ import annotations

import codecs
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

_CHUNK = 64 << 10  # bytes; a Linux pipe holds as much
_TICK = 0.05  # seconds between looks at the clock and at `cancelled`
# Seconds that a process has to end after it was told to, and that its pipe may stay open after it
# ended (a process that escaped may hold it).
_GRACE = 3.0


class Captured:
    """What a process prints: kept up to `limit` bytes, the first half and the last half.

    `on_output` is given the text as it comes, up to `limit` bytes of it; never half a character.
    """

    def __init__(self, limit: int, on_output: Callable[[str], None] | None = None) -> None:
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._limit = limit
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._on_output is not None and self._total < self._limit:
            text = self._decoder.decode(data[: self._limit - self._total])
            if text:
                self._on_output(text)
        self._total += len(data)
        room = self._half - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._half + _CHUNK:  # not at every chunk: that copies
            del self._tail[: -self._half]

    @property
    def dropped(self) -> int:
        """The number of bytes that `text` leaves out."""
        return max(self._total - len(self._head) - self._half, 0)

    def text(self) -> str:
        """What was kept, with a line in the place of what was not."""
        tail = bytes(self._tail[-self._half :])
        if not self.dropped:
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        # The first continuation bytes of the tail are the rest of a character that was cut.
        start = next((i for i, byte in enumerate(tail[:4]) if byte & 0xC0 != 0x80), 0)
        head = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._head))
        note = f"[... {self.dropped:,} bytes left out ...]"
        return f"{head}\n{note}\n{tail[start:].decode('utf-8', 'replace')}"


@dataclass(frozen=True, slots=True)
class Followed:
    """How following ended; `seconds` is how long it took."""

    seconds: float
    timed_out: bool
    cancelled: bool


def follow(
    process: subprocess.Popen[bytes],
    captured: Captured,
    seconds: float,
    cancelled: Callable[[], bool] | None,
    stop: Callable[[], None],
) -> Followed:
    """Read `process` until its pipe closes or it ends; `stop` has to end it, and is called at
    most once a reason: after `seconds`, when `cancelled` says so, and if the caller is torn down.
    """
    chunks: queue.Queue[bytes | None] = queue.Queue(maxsize=16)
    threading.Thread(target=_read, args=(process, chunks), daemon=True).start()
    begun = time.monotonic()
    watch = _Watch(process, begun + seconds, cancelled, stop)
    try:
        while not watch.over():
            try:
                chunk = chunks.get(timeout=_TICK)
            except queue.Empty:
                continue
            if chunk is None:
                break
            captured.feed(chunk)
    except BaseException:
        stop()
        raise
    finally:
        watch.finish()
        _let_go(chunks)
    return Followed(time.monotonic() - begun, watch.timed_out, watch.was_cancelled)


def _read(process: subprocess.Popen[bytes], chunks: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    try:
        while data := os.read(descriptor, _CHUNK):
            chunks.put(data)
    except OSError:
        pass
    chunks.put(None)


def _let_go(chunks: queue.Queue[bytes | None]) -> None:
    """Empty the queue, so that a reader that waits for room can go on to its end."""
    try:
        while True:
            chunks.get_nowait()
    except queue.Empty:
        pass


class _Watch:
    """The clock, the user and the process: whether it is time to stop reading."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        deadline: float,
        cancelled: Callable[[], bool] | None,
        stop: Callable[[], None],
    ) -> None:
        self._process = process
        self._deadline = deadline
        self._cancelled = cancelled
        self._stop = stop
        self._next_look = 0.0
        self._give_up: float | None = None
        self.timed_out = False
        self.was_cancelled = False

    def over(self) -> bool:
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _TICK
        if self._give_up is not None:
            return now >= self._give_up
        if self._cancelled is not None and self._cancelled():
            self.was_cancelled = True
        elif now >= self._deadline:
            self.timed_out = True
        elif self._process.poll() is None:
            return False
        # Stopped for a reason, or ended by itself with its pipe still open in other hands.
        self._stop()
        self._give_up = now + _GRACE
        return False

    def finish(self) -> None:
        """Wait for the process, so that no zombie stays; kill it if it does not end."""
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
