"""The language models, and the one list of the backends that run them.

A new backend touches three or four files:

1. `models/<name>/backend.py`, or `models/<name>.py`: a class that implements `models.base.Model`,
   and a function `open_model(entry, info, settings)` that returns one. It verifies what models.lock
   pins before the first prompt, and raises the errors that `Model.generate` names.
   A backend of a server also has `verify(entry, settings)`.
2. `BACKENDS` below: the name for models.lock, the keys that pin its models there, and the module.
   A model is either a file (`file`, `bytes`, `sha256`) or kept by a server (`name`, `digest`).
3. The test of the backend; `tests/integration/models/ollama/test_backend.py` is an example.
4. Only for a setting of its own: `config/schema.py`, and a property of `BackendSettings` below.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localagent.models.base import Model, ModelInfo
    from localagent.models.catalog.lock import ModelEntry


@dataclass(frozen=True, slots=True)
class Backend:
    """A kind of model: the keys that `pins` need in models.lock, and the `module` to import.

    `raw_text` says that it takes a `models.base.RawText`.
    """

    pins: tuple[str, ...]
    module: str
    raw_text: bool = False


BACKENDS = {
    "llamacpp": Backend(("file", "bytes", "sha256"), "localagent.models.llamacpp.backend", True),
    "ollama": Backend(("name", "digest"), "localagent.models.ollama.backend"),
    "openai": Backend(("name", "digest", "server", "report"), "localagent.models.openai.backend"),
}


class HostPolicy(Protocol):
    """The administrator's rule about servers."""

    @property
    def allowed_hosts(self) -> Collection[str]:
        """Names and addresses besides this machine."""


class BackendSettings(Protocol):
    """The settings that backends read; docs/config.md explains them."""

    @property
    def threads(self) -> int: ...
    @property
    def gpu_layers(self) -> int | None: ...
    @property
    def memory_bytes(self) -> int | None: ...
    @property
    def kv_cache_bytes(self) -> int: ...
    @property
    def nice(self) -> int: ...
    @property
    def silence_seconds(self) -> float: ...
    @property
    def ollama_host(self) -> str: ...
    @property
    def sandbox_ports(self) -> Sequence[int]: ...
    @property
    def server_ca(self) -> str | None: ...
    @property
    def server_keys(self) -> Mapping[str, str]: ...
    @property
    def policy(self) -> HostPolicy: ...


def open_model(entry: ModelEntry, info: ModelInfo, settings: BackendSettings) -> Model:
    """Open the model of an entry of models.lock; it is loaded with its first request.

    Raises ModelNotInstalled, ModelFileError, ModelLoadError; for a server NotLocal, UsageError.
    """
    model: Model = import_module(BACKENDS[entry.backend].module).open_model(entry, info, settings)
    return model


def verify_on_server(entry: ModelEntry, settings: BackendSettings) -> None:
    """Raise ModelFileError if a server's model is not the pinned one; the model is not loaded.

    Raises UsageError and NotLocal for the address, ModelNotInstalled, ModelLoadError if no server
    answers, ServerError, WorkerHung.
    """
    import_module(BACKENDS[entry.backend].module).verify(entry, settings)
