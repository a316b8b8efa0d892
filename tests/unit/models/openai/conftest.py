"""A server in this process, and its model, pinned and opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localagent.models.base import ModelInfo
from localagent.models.catalog.lock import ModelEntry
from localagent.models.openai.backend import OpenAiModel, server_address
from localagent.models.server.silence import SilenceLimits
from tests.doubles.openai_server import URL, OpenAiServer, add, settings

SILENCE = 20.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> OpenAiServer:
    made = OpenAiServer()
    made.install(monkeypatch)
    return made


@pytest.fixture
def opened(server: OpenAiServer) -> Iterator[Callable[..., OpenAiModel]]:
    """Opens the pinned model; `profile` changes its profile."""
    models: list[OpenAiModel] = []

    def open_it(
        entry: ModelEntry | None = None, silence: float = SILENCE, **profile: Any
    ) -> OpenAiModel:
        entry = entry or add(server)
        changed = entry.profile.model_copy(update=profile).profile()
        info = ModelInfo(entry.id, "openai", entry.pin, changed, form=entry.template)
        limits = SilenceLimits(silence, silence, 1e9)
        models.append(OpenAiModel(entry, info, server_address(URL, settings()), limits, comeback=0))
        return models[-1]

    yield open_it
    for model in models:
        model.close()
