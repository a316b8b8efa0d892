"""Which model serves which role, and which model takes over when it fails.

A model of the lock serves a *role* ("main", "small", "planner", "repair"). Main's model serves a
role without a model of its own, with the same instance. The fallbacks follow:

    small ─▶ small's own ─▶ main's ─▶ fallback 1 ─▶ fallback 2 …

A model opens at its first use. The router gives up a model that cannot be loaded, for the rest of
the session, and the request goes to the next. It also gives up a model that failed as often in a
row as the agent retries; then the next request goes to the next. It uses only models of the
catalog.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from localagent.core.errors import (
    BackendError,
    LocalAgentError,
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    PromptTruncated,
    ServerError,
    UsageError,
    WorkerDied,
    WorkerHung,
)
from localagent.models.base import (
    ATTEMPTS,
    Chunk,
    Finish,
    Model,
    ModelInfo,
    ModelWarning,
    Request,
    Text,
    ThinkFor,
    TokenizedPrompt,
    only,
)
from localagent.models.catalog.lock import unknown_model
from localagent.models.llamacpp.hardware import available_memory, gigabytes

MAIN = "main"
_T = TypeVar("_T")

NEED = 1.5
"""Memory of a model, in file sizes: the default one at 8,192 tokens has a file of 1.1 GB, a cache
of 0.24 GB and buffers of about the same size."""

_UNUSABLE = (ModelLoadError, ModelFileError, ModelNotInstalled)


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A model that may be used. `bytes` must fit into memory; 0 if a server takes care of that."""

    info: ModelInfo
    bytes: int
    open: Callable[[], Model]


@dataclass(frozen=True, slots=True)
class Switch:
    """The event that another model serves `role` from now on."""

    role: str
    info: ModelInfo
    why: str


class Router:
    """The models of a session; `catalog` has all that may be used, by id.

    `memory` returns the free bytes, or None if unknown. Raises UsageError if `main`, `roles` or
    `fallback` names a model that the catalog lacks.
    """

    def __init__(
        self,
        catalog: Mapping[str, PinnedModel],
        main: str,
        roles: Mapping[str, str] | None = None,
        fallback: Sequence[str] = (),
        memory: Callable[[], int | None] = available_memory,
    ) -> None:
        self._catalog = catalog
        self._main = main
        self._roles = {role: name for role, name in (roles or {}).items() if role != MAIN}
        self._fallback = tuple(fallback)
        self._memory = memory
        self._open: dict[str, Model] = {}
        self._failures: dict[str, int] = {}
        self._given_up: set[str] = set()
        self._warnings: list[str] = []
        self._switches: list[Switch] = []
        self._thinking: dict[str, Any] = {}  # keys of the profile that the user has changed
        for name in (main, *self._roles.values(), *fallback):
            self.known(name)

    @classmethod
    def of(cls, model: Model) -> Router:
        """Make a router with one `model` for every role."""
        return cls({model.info.id: PinnedModel(model.info, 0, lambda: model)}, model.info.id)

    def known(self, model_id: str) -> ModelInfo:
        """Return the identity of a model. Raises UsageError for an id that is not in the lock."""
        if model_id not in self._catalog:
            raise unknown_model(model_id, list(self._catalog))
        return self._catalog[model_id].info

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles, other than main, that have a model of their own."""
        return tuple(self._roles)

    def has_model(self, role: str) -> bool:
        """Whether the role has a model of its own."""
        return role in self._roles

    def names(self) -> list[str]:
        """The ids of all models of the catalog, installed or not."""
        return list(self._catalog)

    def role(self, role: str) -> RoleModel:
        """The model of `role`; the object stays the same when another model takes over."""
        return RoleModel(self, role if self.has_model(role) else MAIN)

    def current(self, role: str = MAIN) -> str:
        """The id of the model that serves `role` now."""
        return self._chain(role)[0]

    def info(self, role: str = MAIN) -> ModelInfo:
        """The identity of the model that serves `role` now."""
        name = self.current(role)
        info = self._open[name].info if name in self._open else self._catalog[name].info
        return replace(info, profile=replace(info.profile, **self._thinking))

    def set_thinking(self, tokens: int, think_for: ThinkFor = "all") -> None:
        """Let every model think up to `tokens` before the replies that `think_for` names."""
        self._thinking = {"think": tokens, "think_for": think_for}

    def model(self, role: str = MAIN) -> Model:
        """Open the model that serves `role`, or the next of its chain if that fails.

        Raises the error of the last one.
        """
        while True:
            name = self.current(role)
            try:
                return self._opened(name)
            except (UsageError, BackendError) as error:
                if not self.give_up(role, name, error):
                    raise

    def give_up(self, role: str, name: str, error: LocalAgentError) -> bool:
        """Stop using the model `name`; do nothing and return False if no other is left."""
        left = [other for other in self._chain(role) if other != name]
        if not left:
            return False
        self._given_up.add(name)
        self._close(name)
        self._warnings.append(f"{name} is given up ({error.message}); {left[0]} takes over")
        self._switches.append(Switch(role, self.info(role), error.message))
        return True

    def failed(self, role: str, name: str, error: LocalAgentError) -> None:
        """Record a failed request; after `ATTEMPTS` in a row another model takes over."""
        self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures[name] >= ATTEMPTS and self.give_up(role, name, error):
            self._failures[name] = 0

    def worked(self, name: str) -> None:
        """Record a request that succeeded."""
        self._failures.pop(name, None)

    def switch(self, model_id: str) -> ModelInfo:
        """Give the main role to another model; the old one stays if this raises.

        Raises UsageError for an unknown id, ModelNotInstalled, BackendError.
        """
        self.known(model_id)
        if model_id != self.current():
            before = self._main, self._given_up
            self._main, self._given_up = model_id, self._given_up - {model_id}
            try:
                self._opened(model_id)
            except LocalAgentError:
                self._main, self._given_up = before
                raise
            self._failures.pop(model_id, None)
            self._switches.append(Switch(MAIN, self.info(), "chosen"))
        return self.info()

    def drain_warnings(self) -> list[str]:
        """Return the new warnings for the user, and forget them."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def drain_switches(self) -> list[Switch]:
        """Return the switches since the last call."""
        switches, self._switches = self._switches, []
        return switches

    def cancel(self, place: int | None = None) -> None:
        """Stop what runs, or only one reply of it. May be called from another thread."""
        for model in list(self._open.values()):
            model.cancel(place)

    def close(self) -> None:
        """Close all models; a second call does nothing."""
        for name in list(self._open):
            self._close(name)

    def _chain(self, role: str) -> list[str]:
        """The models that may serve `role`, the best first; never empty."""
        own = [self._roles[role]] if self.has_model(role) else []
        names = list(dict.fromkeys([*own, self._main, *self._fallback]))
        return [name for name in names if name not in self._given_up] or [self._main]

    def _opened(self, name: str) -> Model:
        if name not in self._open:
            pinned = self._catalog[name]
            self._make_room(name, pinned.bytes)
            self._open[name] = pinned.open()
        return self._open[name]

    def _make_room(self, name: str, size: int) -> None:
        """Close models other than main's if the new one does not fit otherwise.

        Main's model stays open, because closing it would lose the prompt that it has read. Raises
        ModelLoadError instead, and the role of the new one falls to main's.
        """
        main = self.current()
        for other in [n for n in self._open if n != main and self._catalog[n].bytes]:
            if self._fits(size):
                return
            self._close(other)
        if name != main and main in self._open and not self._fits(size):
            free = gigabytes(self._memory() or 0)
            raise ModelLoadError(
                f"it needs about {gigabytes(int(NEED * size))} beside {main}, and {free} are free"
            )

    def _fits(self, size: int) -> bool:
        free = self._memory()
        return free is None or NEED * size <= free

    def _close(self, name: str) -> None:
        model = self._open.pop(name, None)
        if model is not None:
            model.close()


class RoleModel:
    """A `Model` that stands for the one that serves a role now."""

    def __init__(self, router: Router, role: str) -> None:
        self._router = router
        self._role = role

    @property
    def info(self) -> ModelInfo:
        """The identity of the model that serves the role now."""
        return self._router.info(self._role)

    def count(self, text: str) -> int:
        """Count the tokens of `text` with the model that serves the role."""
        return self._ask(lambda model: model.count(text))

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Tokenize a prompt with the model that serves the role."""
        return self._ask(lambda model: model.tokenize(request))

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Generate a reply; the next model takes a request that the first could not load for."""
        return only(self._run(lambda model: model.generate_all([request])))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies; the next model takes requests that the first could not load for."""
        return self._run(lambda model: model.generate_all(requests))

    def cancel(self, place: int | None = None) -> None:
        """Stop the running generation, on any model."""
        self._router.cancel(place)

    def close(self) -> None:
        """Close the models of all roles."""
        self._router.close()

    def _ask(self, ask: Callable[[Model], _T]) -> _T:
        """Call a model; the next one if it cannot be used."""
        while True:
            model, name = self._router.model(self._role), self._router.current(self._role)
            try:
                return ask(model)
            except _UNUSABLE as error:
                if not self._router.give_up(self._role, name, error):
                    raise

    def _run(
        self, start: Callable[[Model], Generator[tuple[int, Chunk], None, None]]
    ) -> Generator[tuple[int, Chunk], None, None]:
        begun = False  # whether a reply was already being written
        while True:
            model, name = self._router.model(self._role), self._router.current(self._role)
            for text in self._router.drain_warnings():
                yield 0, ModelWarning(text)
            try:
                with contextlib.closing(start(model)) as chunks:
                    for place, chunk in chunks:
                        begun = begun or isinstance(chunk, Text | Finish)
                        if isinstance(chunk, Finish):
                            self._router.worked(name)
                        yield place, chunk
                return
            except _UNUSABLE as error:
                if not self._router.give_up(self._role, name, error) or begun:
                    raise
            except (WorkerDied, WorkerHung) as error:
                self._router.failed(self._role, name, error)
                raise
            except (ServerError, PromptTruncated) as error:  # never retried
                self._router.give_up(self._role, name, error)
                raise
