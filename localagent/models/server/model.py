"""A model in a server, as a `Model`: requests side by side, which can be stopped at any time.

    ServerModel ─▶ connect ─▶ ServerConnection ─▶ transport ─▶ the server
                   may it     requests             one host
                   be asked?  └▶ ReplyReader ─▶ TokenEstimator: was the whole prompt read?

ADR 7 (docs/adr/0007-ollama.md) says why it works asynchronously.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from localagent.core.errors import BackendError, ContextOverflow, LocalAgentError, WorkerDied
from localagent.models.base import (
    Chunk,
    Finish,
    ModelInfo,
    Reading,
    Request,
    TokenizedPrompt,
    Usage,
    only,
)
from localagent.models.server.background import BackgroundRun, Closable
from localagent.models.server.reply import ReplyReader
from localagent.models.server.request import ReplyPiece, RequestTarget, parts
from localagent.models.server.silence import RequestGroup, SilenceLimits, SilenceTimeout
from localagent.models.server.tokens import TokenEstimator

Emit = Callable[[tuple[int, Chunk]], None]

COMEBACK = 15.0
"""Seconds for the restart of a server that has worked."""


class ServerConnection(Protocol):
    """A server that was found to have the pinned model."""

    @property
    def target(self) -> RequestTarget:
        """The model to ask."""

    @property
    def counts_all(self) -> bool:
        """Whether the end of a reply has the number of all tokens of the prompt."""

    def stream(self, request: Request, timeout: SilenceTimeout) -> AsyncGenerator[ReplyPiece, None]:
        """Send one request. Raises what `Model.generate` names."""


class ServerModel:
    """Implements `base.Model` for a model in a server; a backend implements `connect`.

    One call runs at a time; a second one is a RuntimeError. Closing the generator ends the
    requests. `comeback` limits the restart of a server that has worked, in seconds.
    """

    def __init__(
        self, info: ModelInfo, client: Closable, limits: SilenceLimits, log: str, comeback: float
    ) -> None:
        self._info, self._limits, self._log = info, limits, log
        self._closable, self._comeback_limit = client, comeback
        self._tokens = TokenEstimator()
        self._connection: ServerConnection | None = None
        self._worked = False
        self._portal: BlockingPortal | None = None
        self._stop_portal: Callable[[], object] = lambda: None
        self._turn = threading.Lock()
        self._running: BackgroundRun[tuple[int, Chunk]] | None = None
        self._call: _Generation | None = None
        self._stopped: set[int] = set()
        self._closed = False

    async def connect(
        self, before: ServerConnection | None, comeback: float, emit: Callable[[Chunk], None]
    ) -> ServerConnection:
        """Check that the server has the pinned model, and return a connection.

        `before` is the connection of the last call, None at first and after an error. A server
        that does not answer may be restarting: wait `comeback` seconds for it.
        """
        raise NotImplementedError

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""
        return self._info

    def count(self, text: str) -> int:
        """Estimate the tokens of `text`, from the counts of the server so far."""
        return self._tokens.estimate(text)

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Return the prompt without its template, which the server renders.

        The number of tokens is the server's count for the latest prompt, else an estimate.
        """
        return self._tokens.spread(parts(request))

    def generate(self, request: Request) -> Generator[Chunk, None, None]:
        """Generate a reply as a stream that ends with one `Finish`; raises as `generate_all`."""
        return only(self.generate_all([request]))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies side by side, at most `profile.parallel` at a time.

        The server may limit them further; the others wait there. Raises ModelLoadError (no server,
        or it cannot load the model), ModelNotInstalled, ModelFileError (not the pinned model),
        NotLocal, ServerError, PromptTruncated, ContextOverflow, WorkerDied, WorkerHung.
        """
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("the model is busy: one call at a time")
        try:
            if self._closed:
                raise BackendError("the model was closed")
            self._stopped.clear()
            if self._portal is None:
                stack = ExitStack()
                self._portal = stack.enter_context(start_blocking_portal())
                # Also without a call of `close`: at the end of this object, or of the interpreter.
                self._stop_portal = weakref.finalize(self, _stop, self._portal, stack)
            running = BackgroundRun[tuple[int, Chunk]](
                self._portal, lambda emit: self._all(requests, emit)
            )
            self._running = running
            try:
                yield from running
            except LocalAgentError:
                self._connection = None  # another server may answer next
                raise
            finally:
                self._running = None
                running.close()
                call, self._call = self._call, None
            for place in range(len(requests)):
                yield from (
                    call.unfinished(place) if call else [(place, Finish("cancelled", Usage()))]
                )
        finally:
            self._turn.release()

    def cancel(self, place: int | None = None) -> None:
        """Stop the running requests at once, or only the one at `place`.

        Each unfinished request ends with `Finish("cancelled")`. May be called from any thread.
        """
        running, portal = self._running, self._portal
        if running is None or portal is None:
            return
        if place is None:
            running.cancel()
        else:
            portal.start_task_soon(self._stop, place)

    def close(self) -> None:
        """End the requests and close the connections; the server keeps its model."""
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            self._running.close()
        if self._portal is not None:
            self._portal.call(self._closable.close)
            self._stop_portal()

    async def _all(self, requests: Sequence[Request], emit: Emit) -> None:
        comeback = self._comeback_limit if self._worked else 0.0
        before, self._connection = self._connection, None
        connection = await self.connect(before, comeback, lambda chunk: emit((0, chunk)))
        self._connection, self._worked = connection, True
        self._call = _Generation(connection, self._tokens, requests, self._stopped, self._log)
        await self._call.run(self._limits, self._info.profile.parallel, emit)

    def _stop(self, place: int) -> None:
        self._stopped.add(place)
        if self._call is not None:
            self._call.stop(place)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A request of a generation, with the reader of its reply."""

    request: Request
    reply: ReplyReader


class _Generation:
    """Requests to one model, at most `parallel` at a time; `run` carries them out.

    `stopped` are the places of the requests that need no answer (any more).
    """

    def __init__(
        self,
        connection: ServerConnection,
        tokens: TokenEstimator,
        requests: Sequence[Request],
        stopped: set[int],
        log: str,
    ) -> None:
        self._connection, self._tokens = connection, tokens
        self._stopped, self._log = stopped, log
        target, counts_all = connection.target, connection.counts_all
        self._slots = [
            _Slot(request, ReplyReader(target, request, tokens, counts_all)) for request in requests
        ]
        self._scopes: dict[int, anyio.CancelScope] = {}

    async def run(self, limits: SilenceLimits, parallel: int, emit: Emit) -> None:
        """Carry out all requests; the first error ends them all and is raised."""
        room, group = anyio.Semaphore(parallel), RequestGroup()

        async def one(place: int) -> None:
            with anyio.CancelScope() as self._scopes[place]:
                if place in self._stopped:
                    self._scopes[place].cancel()
                async with room:
                    await self._one(place, limits, group, emit)
                return
            for chunk in self.unfinished(place):
                emit(chunk)

        try:
            async with anyio.create_task_group() as tasks:
                for place in range(len(self._slots)):
                    tasks.start_soon(one, place)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def stop(self, place: int) -> None:
        """End one request; the others go on."""
        if place in self._scopes:
            self._scopes[place].cancel()

    def unfinished(self, place: int) -> Iterator[tuple[int, Chunk]]:
        """The end of the reply at `place`, if it has none."""
        if not self._slots[place].reply.finished:
            yield place, self._slots[place].reply.cancelled()

    async def _one(
        self, place: int, limits: SilenceLimits, group: RequestGroup, emit: Emit
    ) -> None:
        request, reply = self._slots[place].request, self._slots[place].reply
        tokens = sum(map(self._tokens.estimate, parts(request)))
        emit((place, Reading(0, tokens, 0)))
        reply.begin()
        pieces = self._connection.stream(request, limits.timeout(tokens, group))
        try:
            await _read_pieces(pieces, reply, lambda chunk: emit((place, chunk)))
        except ContextOverflow as error:
            # Not every server says how many tokens the prompt has.
            window = error.window or self._connection.target.window
            raise ContextOverflow(error.needed or tokens, window) from None
        if not reply.finished:
            emit((place, self._ended(reply)))

    def _ended(self, reply: ReplyReader) -> Finish:
        end = reply.ended()
        if end is None:
            server = self._connection.target.server
            raise WorkerDied(f"{server} ended a reply before it was complete", self._log)
        return end


async def _read_pieces(
    pieces: AsyncGenerator[ReplyPiece, None], reply: ReplyReader, emit: Callable[[Chunk], None]
) -> None:
    """Give the pieces to the reply until it is finished, and close the connection."""
    async with aclosing(pieces):
        async for piece in pieces:
            for chunk in reply.take(piece):
                emit(chunk)
            if reply.finished:
                return


def _stop(portal: BlockingPortal, stack: ExitStack) -> None:
    """End what runs in a portal, and its thread. A stopped portal raises RuntimeError."""
    with suppress(RuntimeError):
        portal.call(portal.stop, True)
    with suppress(RuntimeError):
        stack.close()
