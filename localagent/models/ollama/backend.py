"""The Ollama backend: a model in a server that somebody else runs, on this machine.

    Ollama ─▶ ollama_loop ─▶ ollama_check ─▶ ollama_call ─▶ ollama_client ─▶ ollama_transport ─▶ …
     a Model    a thread     may it be       ollama_request   the package     one host only
                             asked?          ollama_reply ─▶ ollama_tokens: was all of it read?

Why the native API, and why asynchronously: docs/adr/0007-ollama.md.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Generator, Sequence

from localagent.core.errors import (
    BackendError,
    LocalAgentError,
    ModelLoadError,
    ServerError,
    WorkerDied,
)
from localagent.models.base import Chunk, ModelInfo, ModelWarning, Request, TokenizedPrompt, only
from localagent.models.ollama import pinning, protocol
from localagent.models.ollama.client import Client, Group
from localagent.models.ollama.event_loop import Loop, Produced
from localagent.models.ollama.pinning import Facts
from localagent.models.ollama.protocol import Piece, Target
from localagent.models.ollama.requests import Call, Emit, Watch, not_begun
from localagent.models.ollama.token_estimate import Tokens

HOST = "http://127.0.0.1:11434"

SILENCE = 120.0
"""Seconds between two tokens after which the server counts as hung."""

PREFILL = 5
"""Silences that may pass before the first token: Ollama says nothing while it loads and reads."""

SLOWEST = 10.0
"""Tokens a second; who reads more slowly than that, beyond `PREFILL`, counts as hung. Two cores
read 50 to 75 for a model of 1.5 billion parameters (on llama.cpp), so some 12 for 7 billion."""

COMEBACK = 15.0
"""Seconds in which a server that has worked may be restarted."""


class Ollama:
    """A model in an Ollama server; implements `base.Model`.

    `name` is the model's in Ollama; `info.sha256` is the digest that it must have there.
    `allowed_hosts` are names and addresses beside this machine. `silence` and `prefill` are
    seconds, `slowest` tokens a second: the longest silence between two tokens is `silence`, and
    before the first one it is `prefill` plus the prompt's tokens at the rate `slowest`. `answer` is
    how long a call without the model may take, `comeback` how long a server may be away for a
    restart.

    One call runs at a time; another while it is unfinished is a RuntimeError. To stop taking chunks
    is allowed at any moment and ends the requests. Raises UsageError and NotLocal for `host`.
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
        self._watch = Watch(silence, PREFILL * silence if prefill is None else prefill, slowest)
        self._answer, self._comeback = answer, comeback
        self._tokens = Tokens()
        self._facts: Facts | None = None
        self._worked = self._warned = False
        self._loop = Loop()
        self._turn = threading.Lock()
        self._running: Produced[tuple[int, Chunk]] | None = None
        self._call: Call | None = None
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
        """A careful estimate, from the counts that the server gave so far; asks nobody."""
        return self._tokens.estimate(text)

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """The prompt without its template, which the server does not show: as many tokens as the
        server counted where it was the last one, and an estimate otherwise; asks nobody."""
        return self._tokens.spread(protocol.parts(request))

    def generate(self, request: Request) -> Generator[Chunk, None, None]:
        """Generate a reply as a stream that ends with one `Finish`; raises as `generate_all`."""
        return only(self.generate_all([request]))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies side by side, at most `profile.parallel` at a time.

        How many the server really writes at once is its own setting (OLLAMA_NUM_PARALLEL); the
        others wait there. Raises ModelLoadError (no server, or it cannot load the model),
        ModelNotInstalled, ModelFileError (another digest), NotLocal, ServerError, PromptTruncated,
        ContextOverflow, WorkerDied, WorkerHung.
        """
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("the model is busy: one call at a time")
        try:
            if self._closed:
                raise BackendError("the model was closed")
            self._stopped.clear()
            running = Produced[tuple[int, Chunk]](
                self._loop, lambda emit: self._all(requests, emit)
            )
            self._running = running
            try:
                yield from running
            except LocalAgentError:
                self._facts = None  # whatever answers next may be another server
                raise
            finally:
                self._running = None
                running.close()
                call, self._call = self._call, None
            for place in range(len(requests)):
                yield from call.unfinished(place) if call else [not_begun(place)]
        finally:
            self._turn.release()

    def cancel(self, place: int | None = None) -> None:
        """Stop what runs, or only the reply to the request at `place`, at once; each unfinished
        request ends with `Finish("cancelled")`. May be called from any thread."""
        running = self._running
        if running is None:
            return
        if place is None:
            running.cancel()
        else:
            self._loop.call(self._stop, place)

    def close(self) -> None:
        """End what runs and close the connections; the server keeps its model for a while."""
        if self._closed:
            return
        self._closed = True
        if self._running is not None:
            self._running.close()
        if self._loop.started:
            list(Produced[None](self._loop, lambda _emit: self._client.close()))
            self._loop.close()

    async def _all(self, requests: Sequence[Request], emit: Emit) -> None:
        facts = await self._ready(emit)
        target = self._target(facts)
        self._call = Call(
            self._client, target, self._tokens, facts.counts_all, requests, self._stopped
        )
        await self._call.run(self._watch, self._info.profile.parallel, emit)

    def _stop(self, place: int) -> None:
        self._stopped.add(place)
        if self._call is not None:
            self._call.stop(place)

    async def _ready(self, emit: Emit) -> Facts:
        """What is known of the server; all checks before its first use, and after an error."""
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
        """Have the model loaded, with the window that the session needs."""
        body = protocol.load(self._target(facts))
        patience = self._watch.patience(0, Group())
        try:
            await self._client.ask(Piece, "/api/chat", patience, body)
        except (ServerError, WorkerDied) as error:
            raise ModelLoadError(
                f"Ollama could not load {self._name}: {error.message}", error.hint
            ) from None
        window = self._info.profile.window
        await pinning.window(self._client, self._name, window, self._answer)

    def _target(self, facts: Facts) -> Target:
        able = facts.show.capabilities is None or "thinking" in facts.show.capabilities
        profile = self._info.profile
        return Target(self._name, profile.window, facts.show.stops, profile.think if able else 0)


def _old(facts: Facts) -> str:
    return (
        f"Ollama {facts.version.version} cuts prompts that are too long without a word; localagent "
        "notices most of that, but a newer one (0.12.6) refuses them"
    )
