"""Follow a child process to its end: output, time limit, cancellation.

This module works the same on every system. A thread reads the pipe. The caller's thread does
everything else, so it also calls `on_output` and `cancelled`.
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

_CHUNK = 64 << 10  # bytes; a Linux pipe holds as many
_TICK = 0.05  # seconds between checks of the clock and of `cancelled`
# Seconds that a process has to end after a stop. The process's pipe may stay open as long after its
# end, since an escaped process may hold the pipe.
_GRACE = 3.0


class OutputBuffer:
    """The output of a process: the first and the last half of `limit` bytes.

    `on_output` gets the text as it arrives, up to `limit` bytes, and never half a character.
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
        """Add the next bytes."""
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
        if len(self._tail) > 2 * self._half + _CHUNK:  # cut rarely, since each cut copies the tail
            del self._tail[: -self._half]

    @property
    def dropped(self) -> int:
        """The number of bytes that `text` leaves out."""
        return max(self._total - len(self._head) - self._half, 0)

    def text(self) -> str:
        """Return the output, with a line in place of the dropped middle."""
        tail = bytes(self._tail[-self._half :])
        if not self.dropped:
            return (bytes(self._head) + tail).decode("utf-8", "replace")
        # Continuation bytes at the start of the tail are the rest of a cut character.
        start = next((i for i, byte in enumerate(tail[:4]) if byte & 0xC0 != 0x80), 0)
        head = codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(self._head))
        note = f"[... {self.dropped:,} bytes left out ...]"
        return f"{head}\n{note}\n{tail[start:].decode('utf-8', 'replace')}"


@dataclass(frozen=True, slots=True)
class FollowResult:
    """How a process ended; `seconds` is its duration."""

    seconds: float
    timed_out: bool
    cancelled: bool


def follow(
    process: subprocess.Popen[bytes],
    output: OutputBuffer,
    seconds: float,
    cancelled: Callable[[], bool] | None,
    stop: Callable[[], None],
) -> FollowResult:
    """Read `process` until its pipe closes or it ends.

    `stop` must end the process. This function calls `stop` at most once for each reason: after
    `seconds`, when `cancelled` returns True, and when an exception ends the caller.
    """
    chunks: queue.Queue[bytes | None] = queue.Queue(maxsize=16)
    threading.Thread(target=_read, args=(process, chunks), daemon=True).start()
    start = time.monotonic()
    condition = _StopCondition(process, start + seconds, cancelled, stop)
    try:
        while not condition.give_up():
            try:
                chunk = chunks.get(timeout=_TICK)
            except queue.Empty:
                continue
            if chunk is None:
                break
            output.feed(chunk)
    except BaseException:
        stop()
        raise
    finally:
        condition.wait()
        # Empty the queue, so that a reader thread that waits for room can finish.
        try:
            while True:
                chunks.get_nowait()
        except queue.Empty:
            pass
    return FollowResult(time.monotonic() - start, condition.timed_out, condition.was_cancelled)


def _read(process: subprocess.Popen[bytes], chunks: queue.Queue[bytes | None]) -> None:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    try:
        while data := os.read(descriptor, _CHUNK):
            chunks.put(data)
    except OSError:
        pass
    chunks.put(None)


class _StopCondition:
    """Decides when to stop a process, and when to stop reading its output."""

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
        self._next_check = 0.0
        self._give_up_at: float | None = None
        self.timed_out = False
        self.was_cancelled = False

    def give_up(self) -> bool:
        """Stop the process if there is a reason; return True if reading must end."""
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + _TICK
        if self._give_up_at is not None:
            return now >= self._give_up_at
        if self._cancelled is not None and self._cancelled():
            self.was_cancelled = True
        elif now >= self._deadline:
            self.timed_out = True
        elif self._process.poll() is None:
            return False
        # The process was stopped, or it ended while another process holds the pipe.
        self._stop()
        self._give_up_at = now + _GRACE
        return False

    def wait(self) -> None:
        """Wait for the process, so that no zombie stays; kill the process if it does not end."""
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
