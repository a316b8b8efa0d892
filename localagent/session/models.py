"""Open the models that settings and models.lock name, without loading them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from localagent import models
from localagent.config.settings import Settings
from localagent.models.base import Model, ModelInfo
from localagent.models.catalog import lock as models_lock
from localagent.models.catalog.lock import ModelEntry
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel
from localagent.project.project import Project


def open_models(project: Project, scripted: Path | None = None) -> Router:
    """Open the models for work outside of a session, without loading them.

    If a flag names a model, this model has every role. Raises UsageError, LockError.
    """
    settings = project.settings
    if project.flags.get("model") is not None:
        settings = replace(settings, roles={})
    return open_router(None, scripted, settings)


def open_model(entry: ModelEntry, settings: Settings) -> Model:
    """Open the model of an entry in models.lock, with the settings applied to its profile."""
    return models.open_model(entry, model_info(entry, settings), settings)


def model_info(entry: ModelEntry, settings: Settings) -> ModelInfo:
    """The identity of an entry's model, and the model's profile with the settings applied."""
    profile = entry.profile.profile()
    profile = replace(
        profile,
        window=settings.window or profile.window,
        candidates=settings.candidates or profile.candidates,
    )
    return ModelInfo(
        entry.id,
        entry.backend,
        entry.pin,
        profile,
        entry.chat_template_sha256,
        models.BACKENDS[entry.backend].raw_text,
        entry.template,
    )


def open_router(model: Model | Router | None, scripted: Path | None, settings: Settings) -> Router:
    """The models that a session may use: all models in models.lock, or only the given model."""
    if scripted is not None and model is None:
        model = ScriptedModel.from_file(scripted)
    if isinstance(model, Router):
        return model
    if model is not None:
        return Router.of(model)
    lock = models_lock.load()
    catalog = {
        entry.id: PinnedModel(
            model_info(entry, settings), entry.all_bytes, partial(open_model, entry, settings)
        )
        for entry in lock.entries
    }
    return Router(catalog, settings.model or lock.default, settings.roles, settings.fallback)
