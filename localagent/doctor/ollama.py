"""The Ollama server: where it is, its version, its models' digests, and its cloud."""

from __future__ import annotations

from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError, ModelFileError
from localagent.doctor.report import Part, Problem
from localagent.egress import lock as egress
from localagent.models.catalog import lock
from localagent.models.catalog.lock import ModelEntry
from localagent.models.ollama import pinning
from localagent.models.ollama.pinning import ServerFacts, full, plain

_CLOUD_ON = (
    "OLLAMA_NO_CLOUD=1 in the server's environment, or disable_ollama_cloud in its server.json, "
    "switches it off; localagent refuses models of a cloud in any case"
)


def ollama_part(settings: Settings) -> Part:
    """What the server says that the settings name; it is a problem if it does not answer where
    models.lock has a model of Ollama's, and none otherwise."""
    host = settings.ollama_host
    pinned = _pinned()
    data: dict[str, object] = {"host": host, "answers": False}
    state = egress.state()
    if state.locked and not state.destinations:
        said = "not asked: this command may dial nothing, as models.lock has no model of Ollama's"
        return Part("Ollama", (f"{host}: {said}",), (), data)
    try:
        status = pinning.status(host, settings.policy.allowed_hosts)
    except LocalAgentError as error:
        if not pinned:
            said = "nothing that can be used answers there, and no model needs it"
            return Part("Ollama", (f"{host}: {said}",), (), {**data, "error": error.message})
        problem = Problem(error.message, error.hint, fatal=False)
        return Part("Ollama", (host,), (problem,), {**data, "error": error.message})
    return _told(status, pinned, data)


def _told(status: ServerFacts, pinned: list[ModelEntry], data: dict[str, object]) -> Part:
    names = {full(tag.name or tag.model): plain(tag.digest) for tag in status.models}
    remote = [tag.name or tag.model for tag in status.models if tag.remote]
    cloud = {True: "off", False: "on", None: "not told (only newer servers tell)"}
    lines = [
        f"{status.host}: version {status.version}, {len(names)} models",
        f"its cloud: {cloud[status.cloud_off]}",
    ]
    lines += [f"of a cloud, and refused: {', '.join(remote)}"] if remote else []
    problems = []
    if status.cloud_off is False:
        problems.append(Problem("the server can send prompts to a cloud", _CLOUD_ON, fatal=False))
    for entry in pinned:
        digest = names.get(full(entry.name), "")
        lines.append(f"{entry.id}: {entry.name}, digest {digest or 'none: it is not there'}")
        if digest != entry.digest:
            error = _differs(entry, digest)
            problems.append(Problem(error.message, error.hint, fatal=False))
    data |= {
        "answers": True,
        "version": status.version,
        "cloud_disabled": status.cloud_off,
        "digests": names,
        "remote": remote,
    }
    return Part("Ollama", tuple(lines), tuple(problems), data)


def _differs(entry: ModelEntry, digest: str) -> ModelFileError:
    return ModelFileError(
        f"{entry.name} in Ollama is not what models.lock pins as {entry.id}: its digest is "
        f"{digest[:12] or 'not told'}, not {entry.digest[:12]}",
        f"localagent models verify {entry.id}",
    )


def _pinned() -> list[ModelEntry]:
    try:
        return [entry for entry in lock.load().entries if entry.backend == "ollama"]
    except LocalAgentError:  # the part on models says it
        return []
