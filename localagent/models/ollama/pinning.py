"""Whether an Ollama server may be asked: its version, and that its model is the pinned one.

The checks come in an order that sends nothing of the user's before all is well. First is the name:
it shows a model in a cloud. Then come the version, the list of models with their digests, the
server's facts about this model and, once it is loaded, its window.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import anyio

from localagent.core.errors import (
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    NotLocal,
    ServerError,
)
from localagent.models.catalog.lock import ModelEntry
from localagent.models.gguf import text_sha256
from localagent.models.ollama.client import Client
from localagent.models.ollama.protocol import (
    LoadedModelInfo,
    Running,
    ServerStatus,
    Show,
    Tagged,
    Tags,
    Version,
)
from localagent.models.server.background import run_once
from localagent.models.server.silence import SilenceTimeout

OLDEST = (0, 5, 0)
"""The first version with schemas for replies (`format`)."""

REFUSES = (0, 12, 6)
"""The first version that knows `truncate` and `shift`: it refuses a prompt that is too long."""

COUNTS_NEW_ONLY = ((0, 30, 0),)
"""Versions whose `prompt_eval_count` omits the tokens of the cache (ollama/ollama#16428)."""

ANSWER = 30.0
"""Seconds for an answer that needs no model."""

_PAUSE = 0.2  # seconds between two tries to reach a server that is being restarted


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a server about itself and one model."""

    version: Version
    tag: Tagged
    show: Show

    @property
    def digest(self) -> str:
        """The sha256 of the model's manifest."""
        return plain(self.tag.digest)

    @property
    def template_sha256(self) -> str:
        """The hash of the chat template that the server shows; "" where it shows none."""
        return text_sha256(self.show.template)

    @property
    def refuses(self) -> bool:
        """Whether it refuses prompts that are too long; a build from source (0.0.0) does."""
        return self.version.numbers >= REFUSES or self._unknown

    @property
    def counts_all(self) -> bool:
        """Whether `prompt_eval_count` is that of the whole prompt."""
        return self.version.numbers not in COUNTS_NEW_ONLY

    @property
    def too_old(self) -> bool:
        """Whether it lacks a feature that localagent needs."""
        return self.version.numbers < OLDEST and not self._unknown

    @property
    def _unknown(self) -> bool:
        return self.version.numbers == (0, 0, 0)


async def reach(client: Client, answer: float, comeback: float) -> Version:
    """Wait for the server's version; raises ModelLoadError after `comeback` seconds."""
    until = time.monotonic() + comeback
    while True:
        try:
            return await client.ask(Version, "/api/version", SilenceTimeout(answer, answer))
        except ModelLoadError:
            if time.monotonic() >= until:
                raise
            await anyio.sleep(_PAUSE)


async def facts(client: Client, name: str, answer: float = ANSWER, comeback: float = 0) -> Facts:
    """Ask the server about the model `name`.

    A server that does not answer may be restarting: wait `comeback` seconds for it.

    Raises NotLocal for a model that runs elsewhere, ModelNotInstalled, ServerError for a server
    that is too old, and what `Client.ask` raises.
    """
    _not_by_name(name)
    version = await reach(client, answer, comeback)
    tag = await tagged(client, name, answer)
    body = {"model": name, "name": name}  # the second for servers before 0.6
    show = await client.ask(Show, "/api/show", SilenceTimeout(answer, answer), body)
    not_elsewhere(name, show.remote)
    known = Facts(version, tag, show)
    if known.too_old:
        raise ServerError(
            f"{client.server} is version {version.version}, which is too old",
            f"localagent needs {'.'.join(map(str, OLDEST))} or newer",
        )
    return known


async def tagged(client: Client, name: str, answer: float = ANSWER) -> Tagged:
    """Ask the server for the entry of the model `name` in its list of models.

    Raises NotLocal for a model that runs elsewhere, ModelNotInstalled, and what `Client.ask`
    raises.
    """
    tags = await client.ask(Tags, "/api/tags", SilenceTimeout(answer, answer))
    found = [tag for tag in tags.models or () if full(name) in (full(tag.name), full(tag.model))]
    if not found:
        raise ModelNotInstalled(
            f"{client.server} has no model {name}",
            f"ollama pull {name} fetches it; ollama list shows what is there",
        )
    not_elsewhere(name, found[0].remote)
    return found[0]


def as_pinned(found: Facts, digest: str, template: str, entry_id: str) -> None:
    """Raise ModelFileError if the server's model has another digest or another chat template.

    `template` is the pinned sha256 of the chat template, or "" if none is pinned.
    """
    tag, shown = found.tag, found.template_sha256
    changed = []
    if plain(tag.digest) != digest:
        changed.append(f"its digest is {plain(tag.digest)[:12] or 'unknown'}, not {digest[:12]}")
    if template and shown != template:
        said = f"sha256 is {shown[:12] or 'none'}, not {template[:12]}"
        changed.append(f"its chat template's {said}")
    if changed:
        raise ModelFileError(
            f"{tag.name or tag.model} in Ollama is not what models.lock pins as {entry_id}: "
            + "; ".join(changed),
            f"if you updated it: localagent models remove {entry_id}, and add it again",
        )


async def window(client: Client, name: str, wanted: int, answer: float = ANSWER) -> None:
    """Raise ModelLoadError if the loaded model has a smaller window than `wanted` tokens."""
    running = await client.ask(Running, "/api/ps", SilenceTimeout(answer, answer))
    loaded: list[LoadedModelInfo] = [
        m for m in running.models or () if full(name) == full(m.name or m.model)
    ]
    given = loaded[0].context_length if loaded else 0
    if 0 < given < wanted:
        raise ModelLoadError(
            f"Ollama gives {name} a window of {given} tokens, and {wanted} were asked for",
            f"set window = {given} in its profile in models.lock",
        )


def not_elsewhere(name: str, where: str) -> None:
    """Raise NotLocal if `where`, the model's remote host, is not empty."""
    if where:
        place = "".join(c for c in where if c.isprintable())[:200]
        raise NotLocal(
            f"{name} does not run on this machine: Ollama would send every prompt to {place}",
            "choose a model that ollama list shows with a size",
        )


def full(name: str) -> str:
    """The name with its tag, in lower case: two names of one model are equal."""
    tagged = ":" in name.rpartition("/")[2]
    return (name if tagged or not name else f"{name}:latest").casefold()


def _not_by_name(name: str) -> None:
    tag = name.rpartition("/")[2].rpartition(":")[2].lower()
    if tag == "cloud" or tag.endswith("-cloud"):
        not_elsewhere(name, "the cloud of Ollama's maker")


def plain(text: str) -> str:
    """A digest without its prefix "sha256:"."""
    return text.removeprefix("sha256:").lower()


def ask(host: str, name: str, allowed: Collection[str] = ()) -> Facts:
    """Ask the server at `host` about the model `name`; the model is not loaded.

    `allowed` are hosts besides this machine. Raises UsageError for `host`, NotLocal,
    ModelNotInstalled, ModelLoadError if no server answers, ServerError, WorkerHung.
    """
    return run_once(Client(host, allowed), lambda client: facts(client, name))


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server says of itself. `cloud_off` is None if it does not say."""

    host: str
    version: str
    models: tuple[Tagged, ...]
    cloud_off: bool | None


def status(host: str, allowed: Collection[str] = (), seconds: float = 5.0) -> ServerFacts:
    """Ask the server at `host` for its version and models; no model is loaded.

    `seconds` are the longest silence. Raises UsageError for `host`, NotLocal, ModelLoadError if no
    server answers, ServerError, WorkerHung.
    """

    async def read(client: Client) -> ServerFacts:
        version = await client.ask(Version, "/api/version", SilenceTimeout(seconds, seconds))
        tags = await client.ask(Tags, "/api/tags", SilenceTimeout(seconds, seconds))
        cloud_off = await _cloud_off(client, seconds)
        return ServerFacts(client.server.url, version.version, tuple(tags.models or ()), cloud_off)

    return run_once(Client(host, allowed), read)


async def _cloud_off(client: Client, seconds: float) -> bool | None:
    try:
        status = await client.ask(ServerStatus, "/api/status", SilenceTimeout(seconds, seconds))
    except ServerError:  # it does not know the call
        return None
    return status.cloud.disabled if status.cloud else None


def verify(entry: ModelEntry, host: str, allowed: Collection[str] = ()) -> None:
    """Raise ModelFileError if the server's model or its chat template is not the pinned one.

    Raises as `ask` too.
    """
    as_pinned(ask(host, entry.name, allowed), entry.digest, entry.chat_template_sha256, entry.id)
