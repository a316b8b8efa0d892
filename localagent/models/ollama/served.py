"""Models of an Ollama server, as entries of models.lock: pinned by name and digest, and compared.

The server keeps the files; what pins a model is the digest of its manifest, which holds the digest
of each of its layers (weights, template, parameters).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from localagent.core.errors import ServerError, UsageError
from localagent.models.catalog import lock
from localagent.models.catalog.lock import Entry, Lock, ProfileSpec
from localagent.models.ollama.client import Client, Patience
from localagent.models.ollama.event_loop import Loop, Produced
from localagent.models.ollama.pinning import Facts, as_pinned, facts, full, plain
from localagent.models.ollama.protocol import ServerStatus, Tagged, Tags, Version

# As for files (`manage.propose`): below this many parameters the harness plans.
_SMALL = 4e9
_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def ask(host: str, name: str, allowed: Collection[str] = ()) -> Facts:
    """What the server at `host` says of the model `name`; the model is not loaded. `allowed`
    are hosts beside this machine.

    Raises UsageError for `host`, NotLocal, ModelNotInstalled, ModelLoadError where nobody answers,
    ServerError, WorkerHung.
    """
    client, loop = Client(host, allowed), Loop()

    async def look(emit: Callable[[Facts], None]) -> None:
        try:
            emit(await facts(client, name))
        finally:
            await client.close()

    try:
        (found,) = Produced[Facts](loop, look)
    finally:
        loop.close()
    return found


@dataclass(frozen=True, slots=True)
class Status:
    """What a server says of itself. `cloud_off` is None where it does not tell."""

    host: str
    version: str
    models: tuple[Tagged, ...]
    cloud_off: bool | None


def status(host: str, allowed: Collection[str] = (), seconds: float = 5.0) -> Status:
    """Ask the server at `host` who it is; no model is loaded. `seconds` are the longest silence.

    Raises UsageError for `host`, NotLocal, ModelLoadError where nobody answers, ServerError,
    WorkerHung.
    """
    client, loop = Client(host, allowed), Loop()

    async def look(emit: Callable[[Status], None]) -> None:
        try:
            version = await client.ask(Version, "/api/version", Patience(seconds, seconds))
            tags = await client.ask(Tags, "/api/tags", Patience(seconds, seconds))
            emit(
                Status(
                    client.host,
                    version.version,
                    tuple(tags.models or ()),
                    await _cloud_off(client, seconds),
                )
            )
        finally:
            await client.close()

    try:
        (found,) = Produced[Status](loop, look)
    finally:
        loop.close()
    return found


async def _cloud_off(client: Client, seconds: float) -> bool | None:
    try:
        told = await client.ask(ServerStatus, "/api/status", Patience(seconds, seconds))
    except ServerError:  # it does not know the call
        return None
    return told.cloud.disabled if told.cloud else None


def verify(entry: Entry, host: str, allowed: Collection[str] = ()) -> None:
    """Raises ModelFileError where the server's model or its chat template is not the pinned one,
    and as `ask`."""
    as_pinned(ask(host, entry.name, allowed), entry.digest, entry.chat_template_sha256, entry.id)


def entry(found: Facts, model_id: str | None, known: Lock) -> Entry:
    """An entry that pins what was found, with a proposed profile.

    Raises UsageError for an id that is taken, LockError for a name or digest that is none.
    """
    name, digest = found.tag.name or found.tag.model, plain(found.tag.digest)
    taken = {other.id for other in known.entries}
    slug = re.sub(r"[^a-z0-9._]+", "-", name.removesuffix(":latest").lower()).strip("-._")
    wanted = model_id or slug[:80]
    if wanted in taken:
        if model_id:
            raise UsageError(f"another model is called {model_id}", "choose another id")
        wanted = f"{wanted}-{digest[:6]}"
    values = {
        "id": wanted,
        "backend": "ollama",
        "name": name,
        "digest": digest,
        "chat_template_sha256": found.template_sha256,
        "licence": found.show.license.strip().partition("\n")[0][:100],
        "origin": "added from an Ollama server",
        "profile": propose(found),
    }
    return lock.checked(values, f"the entry for {name}")


def twin(found: Facts, known: Lock) -> Entry | None:
    """The entry that pins this very model already."""
    digest = plain(found.tag.digest)
    names = {full(found.tag.name), full(found.tag.model)}
    same = (e for e in known.entries if e.digest == digest and full(e.name) in names)
    return next(same, None)


def propose(found: Facts) -> ProfileSpec:
    """How the model is probably best used, by its size and what the server can do with it."""
    small = _parameters(found) < _SMALL
    able = not small and "tools" in (found.show.capabilities or ())
    ceiling = 8192 if small else 16384
    return ProfileSpec(
        planner="react" if able else "workflow",
        edit_format="whole" if small else "search-replace",
        window=max(1024, min(found.show.trained_window or ceiling, ceiling)),
        fim=found.show.fills_in,
    )


def _parameters(found: Facts) -> float:
    """The number of parameters, as the server tells it; 0, which is small, where it does not."""
    details = found.show.details or found.tag.details
    told = re.fullmatch(r"(\d+(?:\.\d+)?)([KMBT])", details.parameter_size if details else "")
    return float(told[1]) * _UNITS[told[2]] if told else 0.0
