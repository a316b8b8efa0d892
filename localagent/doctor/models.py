"""The doctor's parts on llama.cpp, on each model in the settings, and on model servers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError, ModelFileError, ModelLoadError
from localagent.doctor.report import DoctorProblem, Section
from localagent.egress import lock as egress
from localagent.models import gguf, verify_on_server
from localagent.models.catalog import lock, verification
from localagent.models.catalog.advice import recorded_speed
from localagent.models.catalog.lock import ModelEntry
from localagent.models.llamacpp.hardware import Gpu, gigabytes
from localagent.models.llamacpp.memory_plan import MemoryPlan, plan_for_file
from localagent.models.llamacpp.process import Library, library
from localagent.models.ollama import pinning
from localagent.models.ollama.pinning import ServerFacts, full, plain

_STATES = {
    "installed": "installed, as pinned when it was last verified",
    "unverified": "installed; localagent verifies it before it loads it",
    "incomplete": "partly downloaded",
    "altered": "installed, but not the pinned file",
    "missing": "not on this machine",
}


def models(settings: Settings) -> list[Section]:
    """A part on llama.cpp, and a part on each model that the settings name."""
    try:
        known = lock.load()
        main = known.entry(settings.model)
    except LocalAgentError as error:
        return [Section("model", (), (DoctorProblem(error.message, error.hint),))]
    others = [name for name in (*settings.roles.values(), *settings.fallback) if name != main.id]
    entries: list[ModelEntry | DoctorProblem] = [main]
    for name in dict.fromkeys(others):
        try:
            entries.append(known.entry(name))
        except LocalAgentError as error:
            entries.append(DoctorProblem(error.message, error.hint))
    used = [entry for entry in entries if isinstance(entry, ModelEntry)]
    native, part = _native(used)
    gpus = native.gpus if native else ()
    wrong = tuple(problem for problem in entries if isinstance(problem, DoctorProblem))
    parts = [_model(entry, settings, gpus, fatal=entry is main) for entry in used]
    return [part, *parts, *([Section("roles", (), wrong)] if wrong else [])]


def _native(used: Iterable[ModelEntry]) -> tuple[Library | None, Section]:
    """The library llama-cpp-python, and the part on it. Without need, the library is not loaded."""
    if all(entry.backend != "llamacpp" for entry in used):
        return None, Section("llama.cpp", ("not needed: no configured model uses it",))
    try:
        found = library()
    except ModelLoadError as error:
        return None, Section("llama.cpp", (), (DoctorProblem(error.message, error.hint),))
    built = f"built for {', '.join(found.backends)}" if found.backends else "built without GPU"
    network = "has no network" if found.network == "none" else "has network access"
    lines = (f"{found.version}, {built}", f"its process {network}")
    data = {
        "version": found.version,
        "gpu_backends": found.backends,
        "gpus": [asdict(gpu) for gpu in found.gpus],
        "network": found.network,
    }
    return found, Section("llama.cpp", lines, (), data)


def _model(entry: ModelEntry, settings: Settings, gpus: tuple[Gpu, ...], *, fatal: bool) -> Section:
    """The part on one model. `fatal` is True for the main model."""
    name = f"model {entry.id}"
    if entry.backend != "llamacpp":
        keeper = f"the server {entry.server}" if entry.server else "Ollama"
        line = f"stored by {keeper}; see the part on {keeper}"
        data = {"id": entry.id, "backend": entry.backend, "digest": entry.digest}
        data["chat_template_sha256"] = entry.chat_template_sha256
        return Section(name, (line, *_pins(entry)), (), data)
    state, path = verification.state(entry), verification.location(entry)
    lines = [f"{path} ({gigabytes(entry.all_bytes)}): {_STATES[state]}", *_pins(entry)]
    data = {
        "id": entry.id,
        "backend": entry.backend,
        "path": str(path),
        "state": state,
        "sha256": entry.sha256,
        "chat_template_sha256": entry.chat_template_sha256,
    }
    if state not in ("installed", "unverified"):
        return Section(name, tuple(lines), (_absent(entry, state, fatal=fatal),), data)
    try:
        verification.check_template(entry, path, _verify(entry))
        found = _plan(entry, settings, gpus)
    except (gguf.GgufError, OSError) as error:
        problem = DoctorProblem(f"{path} cannot be read: {error}", _verify(entry), fatal)
        return Section(name, tuple(lines), (problem,), data)
    except (ModelLoadError, ModelFileError) as error:
        return Section(name, tuple(lines), (DoctorProblem(error.message, error.hint, fatal),), data)
    if speed := recorded_speed(entry.pin):
        said = f"reads {speed.reading:.0f}, writes {speed.writing:.0f} tokens/s"
        lines.append(f"measured on {speed.day}: {said} (localagent models advise)")
    more = {"plan": asdict(found), "speed": speed and asdict(speed)}
    return Section(name, (*lines, *found.reasons), (), {**data, **more})


def _pins(entry: ModelEntry) -> tuple[str, str]:
    return (
        f"pinned: sha256 {entry.pin}",
        f"pinned: chat template {entry.chat_template_sha256 or 'none'}",
    )


def _plan(entry: ModelEntry, settings: Settings, gpus: tuple[Gpu, ...]) -> MemoryPlan:
    profile = entry.profile.profile()
    return plan_for_file(
        verification.locations(entry),
        replace(profile, window=settings.window or profile.window),
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        memory=settings.memory_bytes,
        gpus=gpus,
    )


def _absent(entry: ModelEntry, state: verification.State, *, fatal: bool) -> DoctorProblem:
    if state == "altered":
        return DoctorProblem(f"the file of {entry.id} is not the pinned one", _verify(entry), fatal)
    what = f"the model {entry.id} is not on this machine ({gigabytes(entry.all_bytes)})"
    if verification.pinned_in_place(entry):
        hint = "restore the file, or pin its new path: localagent models add PATH"
    else:
        hint = f"localagent models fetch {entry.id}"
    return DoctorProblem(what, hint, fatal)


def _verify(entry: ModelEntry) -> str:
    return f"localagent models verify {entry.id} shows what differs"


_CLOUD_ON = (
    "OLLAMA_NO_CLOUD=1 in the server's environment, or disable_ollama_cloud in its server.json, "
    "switches it off; localagent refuses cloud models in any case"
)


def ollama_part(settings: Settings) -> Section:
    """The part on the Ollama server in the settings.

    If the server does not respond, this is a problem only if models.lock has an Ollama model.
    """
    host = settings.ollama_host
    pinned = _pinned("ollama")
    data: dict[str, object] = {"host": host, "answers": False}
    state = egress.state()
    if state.locked and not any(not place.bases for place in state.destinations):
        said = "not contacted, because models.lock has no Ollama model"
        return Section("Ollama", (f"{host}: {said}",), (), data)
    try:
        status = pinning.status(host, settings.policy.allowed_hosts)
    except LocalAgentError as error:
        if not pinned:
            said = "Ollama is not running (not needed)"
            return Section("Ollama", (f"{host}: {said}",), (), {**data, "error": error.message})
        problem = DoctorProblem(error.message, error.hint, fatal=False)
        return Section("Ollama", (host,), (problem,), {**data, "error": error.message})
    return _server_part(status, pinned, data)


def _server_part(status: ServerFacts, pinned: list[ModelEntry], data: dict[str, object]) -> Section:
    names = {full(tag.name or tag.model): plain(tag.digest) for tag in status.models}
    remote = [tag.name or tag.model for tag in status.models if tag.remote]
    cloud = {True: "off", False: "on", None: "unknown (only newer servers report it)"}
    lines = [
        f"{status.host}: version {status.version}, {len(names)} models",
        f"the server's cloud access: {cloud[status.cloud_off]}",
    ]
    lines += [f"cloud models, which localagent refuses: {', '.join(remote)}"] if remote else []
    problems = []
    if status.cloud_off is False:
        problems.append(
            DoctorProblem("the server can send prompts to a cloud", _CLOUD_ON, fatal=False)
        )
    for entry in pinned:
        digest = names.get(full(entry.name), "")
        lines.append(
            f"{entry.id}: {entry.name}, digest {digest or 'none: Ollama does not have it'}"
        )
        if digest != entry.digest:
            error = _differs(entry, digest)
            problems.append(DoctorProblem(error.message, error.hint, fatal=False))
    data |= {
        "answers": True,
        "version": status.version,
        "cloud_disabled": status.cloud_off,
        "digests": names,
        "remote": remote,
    }
    return Section("Ollama", tuple(lines), tuple(problems), data)


def _differs(entry: ModelEntry, digest: str) -> ModelFileError:
    return ModelFileError(
        f"{entry.name} in Ollama is not what models.lock pins as {entry.id}: its digest is "
        f"{digest[:12] or 'unknown'}, not {entry.digest[:12]}",
        f"localagent models verify {entry.id}",
    )


def server_parts(settings: Settings) -> list[Section]:
    """A part on each server with OpenAI's API that models.lock names, with its pinned models."""
    servers: dict[str, list[ModelEntry]] = {}
    for entry in _pinned("openai"):
        servers.setdefault(entry.server, []).append(entry)
    return [_server_section(url, entries, settings) for url, entries in servers.items()]


def _server_section(url: str, entries: list[ModelEntry], settings: Settings) -> Section:
    lines, problems = [], []
    for entry in entries:
        try:
            verify_on_server(entry, settings)
        except LocalAgentError as error:
            problems.append(DoctorProblem(error.message, error.hint, fatal=False))
        else:
            window = f"window {entry.profile.window:,} tokens"
            lines.append(f"{entry.id}: {entry.name} as pinned, {window}")
    data: dict[str, object] = {"server": url, "as_pinned": not problems}
    data["models"] = [entry.id for entry in entries]
    return Section(f"server {url}", tuple(lines), tuple(problems), data)


def _pinned(backend: str) -> list[ModelEntry]:
    try:
        return [entry for entry in lock.load().entries if entry.backend == backend]
    except LocalAgentError:  # the part on models reports this error
        return []
