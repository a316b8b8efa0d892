"""Requests to Ollama that run side by side: each in a task of its own, with one watchdog for all.

Everything here runs in the event loop; `emit` takes the chunks out of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from localagent.core.errors import ContextOverflow, WorkerDied
from localagent.models.base import Chunk, Finish, Reading, Request, Usage
from localagent.models.ollama import protocol
from localagent.models.ollama.client import Client, Group, Patience
from localagent.models.ollama.protocol import Piece, Target
from localagent.models.ollama.reply import Reply
from localagent.models.ollama.token_estimate import Tokens

Emit = Callable[[tuple[int, Chunk]], None]


@dataclass(frozen=True, slots=True)
class Watch:
    """How long the server may be silent: `silence` seconds between two tokens; before the first,
    `prefill` seconds plus the prompt at `slowest` tokens a second, as it says nothing meanwhile."""

    silence: float
    prefill: float
    slowest: float

    def patience(self, tokens: int, group: Group) -> Patience:
        """For a request of about `tokens` tokens."""
        return Patience(self.prefill + tokens / self.slowest, self.silence, group)


class Call:
    """`requests` to one model, at most `parallel` at a time; `run` carries them out.

    `stopped` are the places of those that need no answer (any more).
    """

    def __init__(
        self,
        client: Client,
        target: Target,
        tokens: Tokens,
        counts_all: bool,
        requests: Sequence[Request],
        stopped: set[int],
    ) -> None:
        self._client, self._target, self._tokens = client, target, tokens
        self._requests, self._stopped = requests, stopped
        self._replies = [Reply(target, request, tokens, counts_all) for request in requests]
        self._works: dict[int, asyncio.Task[None]] = {}

    async def run(self, watch: Watch, parallel: int, emit: Emit) -> None:
        """Carry out all; the first error ends them all and is raised."""
        room, group = asyncio.Semaphore(parallel), Group()

        async def one(place: int) -> None:
            work = asyncio.ensure_future(self._one(place, watch, room, group, emit))
            self._works[place] = work
            if place in self._stopped:
                work.cancel()
            try:
                await work
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if place not in self._stopped or (task is not None and task.cancelling()):
                    raise
                for chunk in self.unfinished(place):
                    emit(chunk)

        tasks = [asyncio.ensure_future(one(place)) for place in range(len(self._requests))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self, place: int) -> None:
        """End one request; the others go on."""
        work = self._works.get(place)
        if work is not None:
            work.cancel()

    def unfinished(self, place: int) -> Iterator[tuple[int, Chunk]]:
        """The end of the reply at `place`, if it has none."""
        if not self._replies[place].finished:
            yield place, self._replies[place].cancelled()

    async def _one(
        self, place: int, watch: Watch, room: asyncio.Semaphore, group: Group, emit: Emit
    ) -> None:
        request, reply = self._requests[place], self._replies[place]
        async with room:
            tokens = sum(map(self._tokens.estimate, protocol.parts(request)))
            emit((place, Reading(0, tokens, 0)))
            reply.begin()
            path, body = protocol.body(self._target, request)
            pieces = self._client.stream(path, watch.patience(tokens, group), body)
            try:
                await _take(pieces, reply, lambda chunk: emit((place, chunk)))
            except ContextOverflow as error:
                # The server does not say how long it found the prompt.
                raise ContextOverflow(error.needed or tokens, self._target.window) from None
            if not reply.finished:
                emit((place, self._ended(reply)))

    def _ended(self, reply: Reply) -> Finish:
        end = reply.ended()
        if end is None:
            raise WorkerDied(
                f"the Ollama server {self._client.host} ended a reply before it was complete",
                "its log says more (journalctl -u ollama, or where ollama serve runs)",
            )
        return end


async def _take(
    pieces: AsyncGenerator[Piece, None], reply: Reply, emit: Callable[[Chunk], None]
) -> None:
    """Give the pieces to the reply until it is finished, and close the connection."""
    async with aclosing(pieces):
        async for piece in pieces:
            for chunk in reply.take(piece):
                emit(chunk)
            if reply.finished:
                return


def not_begun(place: int) -> tuple[int, Chunk]:
    """The end of a request that was cancelled before anything was sent."""
    return place, Finish("cancelled", Usage())
