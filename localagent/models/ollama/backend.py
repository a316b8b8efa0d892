"""The Ollama backend: models in a server on this machine that the user runs.

    Ollama ─▶ pinning ─▶ client ─▶ transport ─▶ the server
    a Model   may it     requests  one host
              be asked?  └▶ reply ─▶ TokenEstimator: was the whole prompt read?

ADR 7 (docs/adr/0007-ollama.md) says why it uses the native API, and why asynchronously.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Iterator, Sequence
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    LocalAgentError,
    ModelLoadError,
    ServerError,
    WorkerDied,
)
from localagent.models import BackendSettings
from localagent.models.base import (
    Chunk,
    Finish,
    ModelInfo,
    ModelWarning,
    Reading,
    Request,
    TokenizedPrompt,
    Usage,
    only,
)
from localagent.models.catalog.lock import ModelEntry
from localagent.models.ollama import pinning, protocol
from localagent.models.ollama.client import BackgroundRun, Client, RequestGroup, SilenceTimeout
from localagent.models.ollama.pinning import Facts
from localagent.models.ollama.protocol import OllamaModel, StreamLine
from localagent.models.ollama.reply import ReplyReader, TokenEstimator

Emit = Callable[[tuple[int, Chunk]], None]

HOST = "http://127.0.0.1:11434"

SILENCE = 120.0
"""Seconds of silence between two tokens after which the server counts as hung."""

PREFILL = 5
"""Silences before the first token: Ollama says nothing while it loads and reads."""

SLOWEST = 10.0
"""Tokens a second; a slower reader, beyond `PREFILL`, counts as hung. Two cores read 50 to 75 with
a model of 1.5 billion parameters (on llama.cpp), so about 12 with 7 billion."""

COMEBACK = 15.0
"""Seconds for the restart of a server that has worked."""


class Ollama:
    """A model in an Ollama server; implements `base.Model`.

    `name` is the model's name in Ollama; `info.sha256` is the digest that it must have there.
    `allowed_hosts` are names and addresses besides this machine. `SilenceLimits` explains
    `silence`, `prefill` and `slowest`. `answer` limits a call without the model, `comeback` the
    restart of a server, both in seconds.

    One call runs at a time; a second one is a RuntimeError. Closing the generator ends the
    requests. Raises UsageError and NotLocal for `host`.
    """

    def __init__(
        self,
        name: str,
        info: ModelInfo,
        *,
        host: str = HOST,
        allowed_hosts: Collection[str] = (),
        silence: float = SILENCE,
        prefill: float | None = None,
        slowest: float = SLOWEST,
        answer: float = pinning.ANSWER,
        comeback: float = COMEBACK,
    ) -> None:
        self._name, self._info = name, info
        self._client = Client(host, allowed_hosts)
        self._limits = SilenceLimits(
            silence, PREFILL * silence if prefill is None else prefill, slowest
        )
        self._answer, self._comeback = answer, comeback
        self._tokens = TokenEstimator()
        self._facts: Facts | None = None
        self._worked = self._warned = False
        self._portal: BlockingPortal | None = None
        self._stop_portal: Callable[[], object] = lambda: None
        self._turn = threading.Lock()
        self._running: BackgroundRun[tuple[int, Chunk]] | None = None
        self._call: _Generation | None = None
        self._stopped: set[int] = set()
        self._closed = False

    def __enter__(self) -> Ollama:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""
        return self._info

    def count(self, text: str) -> int:
        """Estimate the tokens of `text`, from the counts of the server so far."""
        return self._tokens.estimate(text)

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Return the prompt without its template, which the server does not show.

        The number of tokens is the server's count for the latest prompt, else an estimate.
        """
        return self._tokens.spread(protocol.parts(request))

    def generate(self, request: Request) -> Generator[Chunk, None, None]:
        """Generate a reply as a stream that ends with one `Finish`; raises as `generate_all`."""
        return only(self.generate_all([request]))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies side by side, at most `profile.parallel` at a time.

        The server's own setting OLLAMA_NUM_PARALLEL limits them further; the others wait there.
        Raises ModelLoadError (no server, or it cannot load the model), ModelNotInstalled,
        ModelFileError (another digest), NotLocal, ServerError, PromptTruncated,
        ContextOverflow, WorkerDied, WorkerHung.
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
                self._facts = None  # another server may answer next
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
        """End the requests and close the connections; the server keeps its model for a while."""
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            self._running.close()
        if self._portal is not None:
            self._portal.call(self._client.close)
            self._stop_portal()

    async def _all(self, requests: Sequence[Request], emit: Emit) -> None:
        facts = await self._ready(emit)
        target = self._target(facts)
        self._call = _Generation(
            self._client, target, self._tokens, facts.counts_all, requests, self._stopped
        )
        await self._call.run(self._limits, self._info.profile.parallel, emit)

    def _stop(self, place: int) -> None:
        self._stopped.add(place)
        if self._call is not None:
            self._call.stop(place)

    async def _ready(self, emit: Emit) -> Facts:
        """The facts about the server; runs all checks before its first use and after an error."""
        comeback = self._comeback if self._worked else 0.0
        if self._facts is not None:
            version = await pinning.reach(self._client, self._answer, comeback)
            if version == self._facts.version:
                return self._facts
        facts = await pinning.facts(self._client, self._name, self._answer, comeback)
        info = self._info
        pinning.as_pinned(facts, info.sha256, info.template_sha256, info.id)
        await self._load(facts)
        if not facts.refuses and not self._warned:
            self._warned = True
            emit((0, ModelWarning(_old(facts))))
        self._facts, self._worked = facts, True
        return facts

    async def _load(self, facts: Facts) -> None:
        """Load the model with the window that the session needs."""
        body = protocol.load(self._target(facts))
        timeout = self._limits.timeout(0, RequestGroup())
        try:
            await self._client.ask(StreamLine, "/api/chat", timeout, body)
        except (ServerError, WorkerDied) as error:
            raise ModelLoadError(
                f"Ollama could not load {self._name}: {error.message}", error.hint
            ) from None
        window = self._info.profile.window
        await pinning.window(self._client, self._name, window, self._answer)

    def _target(self, facts: Facts) -> OllamaModel:
        able = facts.show.capabilities is None or "thinking" in facts.show.capabilities
        return OllamaModel(self._name, self._info.profile.window, facts.show.stops, able)


@dataclass(frozen=True, slots=True)
class SilenceLimits:
    """How long the server may be silent.

    That is `silence` seconds between two tokens. Before the first token it is `prefill` seconds
    plus the time for the prompt at `slowest` tokens a second, because the server says nothing then.
    """

    silence: float
    prefill: float
    slowest: float

    def timeout(self, tokens: int, group: RequestGroup) -> SilenceTimeout:
        """For a request of about `tokens` tokens."""
        return SilenceTimeout(self.prefill + tokens / self.slowest, self.silence, group)


class _Generation:
    """`requests` to one model, at most `parallel` at a time; `run` carries them out.

    `stopped` are the places of the requests that need no answer (any more).
    """

    def __init__(
        self,
        client: Client,
        model: OllamaModel,
        tokens: TokenEstimator,
        counts_all: bool,
        requests: Sequence[Request],
        stopped: set[int],
    ) -> None:
        self._client, self._model, self._tokens = client, model, tokens
        self._requests, self._stopped = requests, stopped
        self._replies = [ReplyReader(model, request, tokens, counts_all) for request in requests]
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
                for place in range(len(self._requests)):
                    tasks.start_soon(one, place)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def stop(self, place: int) -> None:
        """End one request; the others go on."""
        if place in self._scopes:
            self._scopes[place].cancel()

    def unfinished(self, place: int) -> Iterator[tuple[int, Chunk]]:
        """The end of the reply at `place`, if it has none."""
        if not self._replies[place].finished:
            yield place, self._replies[place].cancelled()

    async def _one(
        self, place: int, limits: SilenceLimits, group: RequestGroup, emit: Emit
    ) -> None:
        request, reply = self._requests[place], self._replies[place]
        tokens = sum(map(self._tokens.estimate, protocol.parts(request)))
        emit((place, Reading(0, tokens, 0)))
        reply.begin()
        path, body = protocol.body(self._model, request)
        lines = self._client.stream(path, limits.timeout(tokens, group), body)
        try:
            await _read_lines(lines, reply, lambda chunk: emit((place, chunk)))
        except ContextOverflow as error:
            # The server does not say how many tokens the prompt has.
            raise ContextOverflow(error.needed or tokens, self._model.window) from None
        if not reply.finished:
            emit((place, self._ended(reply)))

    def _ended(self, reply: ReplyReader) -> Finish:
        end = reply.ended()
        if end is None:
            raise WorkerDied(
                f"the Ollama server {self._client.host} ended a reply before it was complete",
                "its log says more (journalctl -u ollama, or where ollama serve runs)",
            )
        return end


async def _read_lines(
    lines: AsyncGenerator[StreamLine, None], reply: ReplyReader, emit: Callable[[Chunk], None]
) -> None:
    """Give the lines to the reply until it is finished, and close the connection."""
    async with aclosing(lines):
        async for line in lines:
            for chunk in reply.take(line):
                emit(chunk)
            if reply.finished:
                return


def _stop(portal: BlockingPortal, stack: ExitStack) -> None:
    """End what runs in a portal, and its thread. A stopped portal raises RuntimeError."""
    with suppress(RuntimeError):
        portal.call(portal.stop, True)
    with suppress(RuntimeError):
        stack.close()


def _old(facts: Facts) -> str:
    return (
        f"Ollama {facts.version.version} cuts long prompts without a message; localagent detects "
        "most cuts, but version 0.12.6 and later refuse such prompts"
    )


def open_model(entry: ModelEntry, info: ModelInfo, settings: BackendSettings) -> Ollama:
    """Open a model of the Ollama server; `models.BACKENDS` names this function.

    Raises UsageError and NotLocal for the server's address.
    """
    return Ollama(
        entry.name,
        info,
        host=settings.ollama_host,
        allowed_hosts=settings.policy.allowed_hosts,
        silence=settings.silence_seconds,
    )
