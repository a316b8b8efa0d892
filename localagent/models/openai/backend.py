"""The OpenAI backend: a model in a server that speaks OpenAI's API.

ADR 19 (docs/adr/0019-openai-servers.md) gives the reasons.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from localagent.core.errors import ConfigError, ContextOverflow, ModelFileError
from localagent.core.loopback import is_loopback
from localagent.models import BackendSettings
from localagent.models.base import Chunk, ModelInfo, Request
from localagent.models.catalog.lock import ModelEntry
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.openai import pinning, protocol
from localagent.models.openai.client import OpenAiClient, RequestRejected
from localagent.models.openai.protocol import OpenAiTarget, StreamEvent
from localagent.models.openai.software import LLAMA_CPP_PYTHON, SOFTWARE
from localagent.models.openai.stream import EventReader
from localagent.models.server.address import OPENAI, ServerAddress, checked_host, has_host
from localagent.models.server.errors import one_line
from localagent.models.server.model import COMEBACK, ServerConnection, ServerModel
from localagent.models.server.request import ReplyPiece, parts
from localagent.models.server.silence import SilenceLimits, SilenceTimeout

_MAX_KEY = 16 << 10  # bytes


class OpenAiModel(ServerModel):
    """A model in a server at `address`, pinned by `entry`; implements `base.Model`.

    `answer` limits a call without the model, in seconds.
    """

    def __init__(
        self,
        entry: ModelEntry,
        info: ModelInfo,
        address: ServerAddress,
        limits: SilenceLimits,
        *,
        answer: float = pinning.ANSWER,
        comeback: float = COMEBACK,
    ) -> None:
        self._entry, self._answer = entry, answer
        self._client = OpenAiClient(address)
        super().__init__(info, self._client, limits, OPENAI.log, comeback)

    async def connect(
        self,
        before: ServerConnection | None,
        comeback: float,
        emit: Callable[[Chunk], None],  # noqa: ARG002  # nothing to say
    ) -> ServerConnection:
        """See `ServerModel.connect`; the server is asked about its model before each call."""
        entry, profile = self._entry, self._info.profile
        found = await pinning.report(self._client, entry.name, self._answer, comeback)
        pinning.as_pinned(found, entry)
        pinning.check_window(found, profile.window)
        if isinstance(before, _Connection):
            return before
        software = str(entry.report["software"])
        target = OpenAiTarget(
            entry.name,
            profile.window,
            str(self._client.server),
            thinks=True,
            software=SOFTWARE[software],
            form=self._info.form or TemplateForm(),
            variables=profile.variables,
        )
        return _Connection(self._client, target, software, entry.report)


@dataclass(slots=True)
class _Connection:
    """Implements `ServerConnection`. `free` says that the server refuses grammars."""

    client: OpenAiClient
    target: OpenAiTarget
    software: str
    report: Mapping[str, int | str]
    free: bool = False

    @property
    def counts_all(self) -> bool:
        """See `ServerConnection`."""
        return bool(self.report.get("counts"))

    async def stream(
        self, request: Request, timeout: SilenceTimeout
    ) -> AsyncGenerator[ReplyPiece, None]:
        """See `ServerConnection`. A server that knows no grammar gets the request without one."""
        if self.software == LLAMA_CPP_PYTHON:
            await self._check_length(request)
        path, sent = protocol.body(self.target, request)
        loose = protocol.without_constraint(sent)
        if loose is not None and self.free:
            sent, loose = loose, None
        try:
            async with aclosing(self._pieces(path, sent, timeout)) as pieces:
                async for piece in pieces:
                    yield piece
        except RequestRejected:
            if loose is None:
                raise
        else:
            return
        self.free = True
        async with aclosing(self._pieces(path, loose, timeout)) as pieces:
            async for piece in pieces:
                yield piece

    async def _pieces(
        self, path: str, sent: dict[str, Any], timeout: SilenceTimeout
    ) -> AsyncGenerator[ReplyPiece, None]:
        reader = EventReader(self.target.server)
        async with aclosing(self.client.stream(path, timeout, sent)) as events:
            async for event in events:
                self._check_model(event)
                for piece in reader.take(event):
                    yield piece
        if (end := reader.finish()) is not None:
            yield end

    def _check_model(self, event: StreamEvent) -> None:
        """Raise ModelFileError if another model answers than at `models add`."""
        pinned = self.report.get("answers_as")
        if event.model and pinned and event.model != pinned:
            raise ModelFileError(
                f"{self.target.server} answers with the model {one_line(event.model)}, not "
                f"with {pinned}",
                "look at the server's settings, or: localagent models remove ID, and add it again",
            )

    async def _check_length(self, request: Request) -> None:
        """Raise ContextOverflow before a request that the server would end without an answer."""
        texts = parts(request)
        needed = await pinning.count_tokens(
            self.client, self.target.name, self.software, "\n".join(texts)
        )
        window = self.target.window
        if needed is not None and needed + _FRAME * len(texts) >= window:
            raise ContextOverflow(needed + _FRAME * len(texts), window)


_FRAME = 8  # tokens that a template puts around a message


def server_address(url: str, settings: BackendSettings) -> ServerAddress:
    """The checked address of a server, with the key and the certificates of the settings.

    A key is sent to this machine, or by TLS. Raises UsageError, NotLocal, and ConfigError for an
    unreadable key.
    """
    checked = checked_host(url, settings.policy.allowed_hosts, OPENAI)
    parsed = urlsplit(checked)
    host, port = parsed.hostname or "", parsed.port or 0
    if port in settings.sandbox_ports and is_loopback(host):
        raise ConfigError(
            f"sandbox_ports has {port}, the port of the model server {checked}",
            "a command could use the server as it likes; remove the port from sandbox_ports",
        )
    if not parsed.path:
        checked += "/v1"
    files = [file for name, file in settings.server_keys.items() if has_host(host, port, [name])]
    key = read_key(Path(files[0]).expanduser()) if files else ""
    if key and parsed.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"the key for {host} would leave this machine without TLS",
            "use an address that begins with https://",
        )
    ca = str(Path(settings.server_ca).expanduser()) if settings.server_ca else ""
    return ServerAddress(checked, OPENAI, key, ca)


def read_key(file: Path) -> str:
    """The key in a file that only its owner can read. Raises ConfigError, without the key."""
    hint = "the setting server_keys names the file; it holds the key and nothing else"
    try:
        mode = file.stat().st_mode
        with file.open("rb") as stream:
            data = stream.read(_MAX_KEY + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the key in {file}: {error.strerror}", hint) from None
    if mode & 0o077:
        command = f"chmod 600 {shlex.quote(str(file))}"
        raise ConfigError(f"other users can read the key in {file}", f"run: {command}")
    key = data.decode("ascii", "replace").strip()
    if not key.isprintable() or not key.isascii() or " " in key or len(data) > _MAX_KEY or not key:
        raise ConfigError(f"{file} does not hold one key of printable letters", hint)
    return key


def open_model(entry: ModelEntry, info: ModelInfo, settings: BackendSettings) -> OpenAiModel:
    """Open a model of a server; `models.BACKENDS` names this function.

    Raises UsageError and NotLocal for the server's address, ConfigError for its key.
    """
    address = server_address(entry.server, settings)
    return OpenAiModel(entry, info, address, SilenceLimits.of(settings.silence_seconds))


def verify(entry: ModelEntry, settings: BackendSettings) -> None:
    """Ask the server about the model of an entry; see `models.verify_on_server`."""
    pinning.verify(entry, OpenAiClient(server_address(entry.server, settings)))
