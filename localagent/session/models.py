"""The models that settings and models.lock name, put together; none is loaded here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from localagent.config.settings import Settings
from localagent.core.errors import ModelLoadError
from localagent.models.base import Model, ModelInfo
from localagent.models.catalog import lock as models_lock
from localagent.models.catalog import store
from localagent.models.catalog.lock import Entry
from localagent.models.gguf import GgufError
from localagent.models.llamacpp.memory_plan import planned
from localagent.models.router import Pinned, Router
from localagent.models.scripted import ScriptedModel
from localagent.project.project import Project


def open_models(project: Project, scripted: Path | None = None) -> Router:
    """The models for work outside of a session; none is loaded.

    A model that a flag names serves every role. Raises UsageError, LockError.
    """
    settings = project.settings
    if project.flags.get("model") is not None:
        settings = replace(settings, roles={})
    return open_router(None, scripted, settings)


def open_model(entry: Entry, settings: Settings) -> Model:
    """The model of an entry, its file verified; it is loaded when it is first asked.

    Raises ModelNotInstalled, ModelFileError; for one of Ollama's NotLocal, UsageError.
    """
    if entry.backend == "ollama":
        from localagent.models.ollama.backend import Ollama

        return Ollama(
            entry.name,
            model_info(entry, settings),
            host=settings.ollama_host,
            allowed_hosts=settings.policy.allowed_hosts,
            silence=settings.silence_seconds,
        )
    file = store.Checked(entry)
    path = file.path
    from localagent.models.llamacpp.backend import LlamaCpp
    from localagent.models.llamacpp.process import usable_gpus

    info = model_info(entry, settings)
    gpus = usable_gpus()
    try:
        fit = planned(
            path,
            info.profile,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            memory=settings.memory_bytes,
            gpus=gpus,
        )
    except GgufError as error:
        raise ModelLoadError(
            f"cannot load {path.name}: {error}", f"localagent models verify {entry.id}"
        ) from None
    return LlamaCpp(
        path,
        replace(info, profile=replace(info.profile, window=fit.window, parallel=fit.parallel)),
        threads=settings.threads,
        gpu_layers=fit.gpu_layers if gpus else settings.gpu_layers,
        batch=fit.batch,
        kv_type=fit.kv_type,
        flash=fit.flash,
        kv_bytes=settings.kv_cache_bytes,
        nice=settings.nice,
        silence=settings.silence_seconds,
        check=file.again,
        warnings=[fit.reasons[0]] if fit.window < info.profile.window else [],
    )


def model_info(entry: Entry, settings: Settings) -> ModelInfo:
    """Who the model of an entry is, with what the settings change of its profile."""
    profile = entry.profile.profile()
    profile = replace(
        profile,
        window=settings.window or profile.window,
        candidates=settings.candidates or profile.candidates,
    )
    return ModelInfo(entry.id, entry.backend, entry.pin, profile, entry.chat_template_sha256)


def open_router(model: Model | Router | None, scripted: Path | None, settings: Settings) -> Router:
    """The models that a session may use: those of the lock, or the given one alone."""
    if scripted is not None and model is None:
        model = ScriptedModel.from_file(scripted)
    if isinstance(model, Router):
        return model
    if model is not None:
        return Router.of(model)
    lock = models_lock.load()
    catalogue = {
        entry.id: Pinned(
            model_info(entry, settings), entry.bytes, partial(open_model, entry, settings)
        )
        for entry in lock.entries
    }
    return Router(catalogue, settings.model or lock.default, settings.roles, settings.fallback)
