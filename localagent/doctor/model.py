"""The models that a run would use: whether they are there, and how they would be loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError, ModelFileError, ModelLoadError
from localagent.doctor.report import Part, Problem
from localagent.models import gguf
from localagent.models.catalog import lock, store
from localagent.models.catalog.lock import ModelEntry
from localagent.models.llamacpp.hardware import Gpu, gigabytes
from localagent.models.llamacpp.memory_plan import MemoryPlan, plan_for_file
from localagent.models.llamacpp.process import Library, library

_STATES = {
    "installed": "there, as pinned when it was last read",
    "unverified": "there; it will be read and compared with its pin before it is loaded",
    "incomplete": "partly fetched",
    "altered": "there, but not the pinned file",
    "missing": "not on this machine",
}


def models(settings: Settings) -> list[Part]:
    """A part for the native library, and one for each model that the settings name."""
    try:
        known = lock.load()
        main = known.entry(settings.model)
    except LocalAgentError as error:
        return [Part("model", (), (Problem(error.message, error.hint),))]
    others = [name for name in (*settings.roles.values(), *settings.fallback) if name != main.id]
    entries: list[ModelEntry | Problem] = [main]
    for name in dict.fromkeys(others):
        try:
            entries.append(known.entry(name))
        except LocalAgentError as error:
            entries.append(Problem(error.message, error.hint))
    used = [entry for entry in entries if isinstance(entry, ModelEntry)]
    native, part = _native(used)
    gpus = native.gpus if native else ()
    wrong = tuple(problem for problem in entries if isinstance(problem, Problem))
    parts = [_model(entry, settings, gpus, fatal=entry is main) for entry in used]
    return [part, *parts, *([Part("roles", (), wrong)] if wrong else [])]


def _native(used: Iterable[ModelEntry]) -> tuple[Library | None, Part]:
    """What llama-cpp-python says; nothing is asked where no model needs it."""
    if all(entry.backend != "llamacpp" for entry in used):
        return None, Part("llama.cpp", ("not needed: no model of the settings uses it",))
    try:
        found = library()
    except ModelLoadError as error:
        return None, Part("llama.cpp", (), (Problem(error.message, error.hint),))
    built = f"built for {', '.join(found.backends)}" if found.backends else "built without GPU"
    network = "cannot reach the network" if found.network == "none" else "is not kept from it"
    lines = (f"{found.version}, {built}", f"its process {network}")
    data = {
        "version": found.version,
        "gpu_backends": found.backends,
        "gpus": [asdict(gpu) for gpu in found.gpus],
        "network": found.network,
    }
    return found, Part("llama.cpp", lines, (), data)


def _model(entry: ModelEntry, settings: Settings, gpus: tuple[Gpu, ...], *, fatal: bool) -> Part:
    """One model. What is wrong with it is `fatal` for the main one."""
    name = f"model {entry.id}"
    if entry.backend != "llamacpp":
        line = "Ollama keeps it; see the part on Ollama"
        data = {"id": entry.id, "backend": entry.backend, "digest": entry.digest}
        data["chat_template_sha256"] = entry.chat_template_sha256
        return Part(name, (line, *_pins(entry)), (), data)
    state, path = store.state(entry), store.location(entry)
    lines = [f"{path} ({gigabytes(entry.bytes)}): {_STATES[state]}", *_pins(entry)]
    data = {
        "id": entry.id,
        "backend": entry.backend,
        "path": str(path),
        "state": state,
        "sha256": entry.sha256,
        "chat_template_sha256": entry.chat_template_sha256,
    }
    if state not in ("installed", "unverified"):
        return Part(name, tuple(lines), (_absent(entry, state, fatal=fatal),), data)
    try:
        store.check_template(entry, path, _verify(entry))
        found = _plan(entry, settings, gpus)
    except (gguf.GgufError, OSError) as error:
        problem = Problem(f"{path} cannot be read: {error}", _verify(entry), fatal)
        return Part(name, tuple(lines), (problem,), data)
    except (ModelLoadError, ModelFileError) as error:
        return Part(name, tuple(lines), (Problem(error.message, error.hint, fatal),), data)
    return Part(name, (*lines, *found.reasons), (), {**data, "plan": asdict(found)})


def _pins(entry: ModelEntry) -> tuple[str, str]:
    return (
        f"pinned: sha256 {entry.pin}",
        f"pinned: chat template {entry.chat_template_sha256 or 'none'}",
    )


def _plan(entry: ModelEntry, settings: Settings, gpus: tuple[Gpu, ...]) -> MemoryPlan:
    profile = entry.profile.profile()
    return plan_for_file(
        store.location(entry),
        replace(profile, window=settings.window or profile.window),
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
        memory=settings.memory_bytes,
        gpus=gpus,
    )


def _absent(entry: ModelEntry, state: store.State, *, fatal: bool) -> Problem:
    if state == "altered":
        return Problem(f"the file of {entry.id} is not the pinned one", _verify(entry), fatal)
    what = f"the model {entry.id} is not on this machine ({gigabytes(entry.bytes)})"
    if store.pinned_in_place(entry):
        hint = "bring the file back, or pin its new place: localagent models add PATH"
    else:
        hint = f"localagent models fetch {entry.id}"
    return Problem(what, hint, fatal)


def _verify(entry: ModelEntry) -> str:
    return f"localagent models verify {entry.id} says what differs"
