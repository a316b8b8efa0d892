"""The Ollama backend: models in a server on this machine that the user runs.

ADR 7 (docs/adr/0007-ollama.md) says why it uses the native API.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass

from localagent.core.errors import ModelLoadError, ServerError, WorkerDied
from localagent.models import BackendSettings
from localagent.models.base import Chunk, ModelInfo, ModelWarning, Request
from localagent.models.catalog.lock import ModelEntry
from localagent.models.ollama import pinning, protocol
from localagent.models.ollama.client import Client
from localagent.models.ollama.pinning import Facts
from localagent.models.ollama.protocol import OllamaModel, StreamLine
from localagent.models.server.address import OLLAMA
from localagent.models.server.model import COMEBACK, ServerConnection, ServerModel
from localagent.models.server.request import ReplyPiece
from localagent.models.server.silence import (
    PREFILL,
    SILENCE,
    SLOWEST,
    RequestGroup,
    SilenceLimits,
    SilenceTimeout,
)

HOST = "http://127.0.0.1:11434"


class Ollama(ServerModel):
    """A model in an Ollama server; implements `base.Model`.

    `name` is the model's name in Ollama; `info.sha256` is the digest that it must have there.
    `allowed_hosts` are names and addresses besides this machine. `SilenceLimits` explains
    `silence`, `prefill` and `slowest`. `answer` limits a call without the model, in seconds.

    Raises UsageError and NotLocal for `host`.
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
        self._name, self._answer, self._warned = name, answer, False
        self._client = Client(host, allowed_hosts)
        limits = SilenceLimits(silence, PREFILL * silence if prefill is None else prefill, slowest)
        super().__init__(info, self._client, limits, OLLAMA.log, comeback)

    def __enter__(self) -> Ollama:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def connect(
        self, before: ServerConnection | None, comeback: float, emit: Callable[[Chunk], None]
    ) -> ServerConnection:
        """See `ServerModel.connect`.

        The server was checked before if its version and the model's digest are the same.
        """
        if isinstance(before, _Connection):
            version = await pinning.reach(self._client, self._answer, comeback)
            tag = await pinning.tagged(self._client, self._name, self._answer)
            if (version, tag.digest) == (before.facts.version, before.facts.tag.digest):
                return before
        facts = await pinning.facts(self._client, self._name, self._answer, comeback)
        info = self._info
        pinning.as_pinned(facts, info.sha256, info.template_sha256, info.id)
        able = facts.show.capabilities is None or "thinking" in facts.show.capabilities
        server = f"the Ollama server {self._client.server.url}"
        target = OllamaModel(self._name, info.profile.window, server, able, facts.show.stops)
        await self._load(target)
        if not facts.refuses and not self._warned:
            self._warned = True
            emit(ModelWarning(_old(facts)))
        return _Connection(self._client, target, facts)

    async def _load(self, target: OllamaModel) -> None:
        """Load the model with the window that the session needs."""
        timeout = self._limits.timeout(0, RequestGroup())
        try:
            answer = await self._client.ask(StreamLine, "/api/chat", timeout, protocol.load(target))
        except (ServerError, WorkerDied) as error:
            raise ModelLoadError(
                f"Ollama could not load {self._name}: {error.message}", error.hint
            ) from None
        pinning.not_elsewhere(self._name, answer.remote)
        await pinning.window(self._client, self._name, target.window, self._answer)


@dataclass(frozen=True, slots=True)
class _Connection:
    """Implements `ServerConnection`."""

    client: Client
    target: OllamaModel
    facts: Facts

    @property
    def counts_all(self) -> bool:
        """See `ServerConnection`."""
        return self.facts.counts_all

    async def stream(
        self, request: Request, timeout: SilenceTimeout
    ) -> AsyncGenerator[ReplyPiece, None]:
        """See `ServerConnection`."""
        path, body = protocol.body(self.target, request)
        async with aclosing(self.client.stream(path, timeout, body)) as lines:
            async for line in lines:
                pinning.not_elsewhere(self.target.name, line.remote)
                yield line.piece()


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


def verify(entry: ModelEntry, settings: BackendSettings) -> None:
    """Ask the Ollama server about the model of an entry; see `models.verify_on_server`."""
    pinning.verify(entry, settings.ollama_host, settings.policy.allowed_hosts)
