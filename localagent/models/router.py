"""Which model does which job, and which one takes over when it cannot.

A *role* ("main", "small", "planner") is served by a model of the lock; a role without a model of
its own is served by main's, by the same instance. Behind each stand the fallbacks:

    small ─▶ small's own ─▶ main's ─▶ fallback 1 ─▶ fallback 2 …

Models are opened when they are first needed. One that cannot be loaded is given up for the rest of
the session, and the request goes to the next. One whose requests failed as often in a row as the
agent tries them is given up, too; the next request goes to the next. Nothing is used that the
catalog does not hold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
    TokenizedPrompt,
    only,
)
from localagent.models.llamacpp.hardware import available_memory, gigabytes

MAIN = "main"
_T = TypeVar("_T")

NEED = 1.5
"""Memory that a model takes, in file sizes: the default one at 8,192 tokens is a file of 1.1 GB,
0.24 GB of cache and about as much of buffers."""

_UNUSABLE = (ModelLoadError, ModelFileError, ModelNotInstalled)


@dataclass(frozen=True, slots=True)
class PinnedModel:
    """A model that may be used. `bytes` is what has to fit into this machine's memory beside
    others, 0 where somebody else sees to that (a server)."""

    info: ModelInfo
    bytes: int
    open: Callable[[], Model]


@dataclass(frozen=True, slots=True)
class Switch:
    """Another model serves `role` from now on."""

    role: str
    info: ModelInfo
    why: str


class Router:
    """The models of a session. `catalog` holds all that may be used, by id.

    `memory` tells how many bytes are free, or None where that is not known. Raises UsageError where
    `main`, `roles` or `fallback` name a model that the catalog does not hold.
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
        for name in (main, *self._roles.values(), *fallback):
            self.known(name)

    @classmethod
    def of(cls, model: Model) -> Router:
        """A router with nothing but `model`, for every role."""
        return cls({model.info.id: PinnedModel(model.info, 0, lambda: model)}, model.info.id)

    def known(self, model_id: str) -> ModelInfo:
        """Who the model with this id is. Raises UsageError for one that is not in the lock."""
        if model_id not in self._catalog:
            raise UsageError(
                f"no model is called {model_id!r} in models.lock",
                f"known are: {', '.join(self._catalog)}",
            )
        return self._catalog[model_id].info

    def has_model(self, role: str) -> bool:
        """Whether the role was given a model of its own."""
        return role in self._roles

    def names(self) -> list[str]:
        """The ids of all models that could be used, installed or not."""
        return list(self._catalog)

    def role(self, role: str) -> RoleModel:
        """The model of `role`; it stays the same object when another model takes the role over."""
        return RoleModel(self, role if self.has_model(role) else MAIN)

    def current(self, role: str = MAIN) -> str:
        """The id of the model that serves `role` now."""
        return self._chain(role)[0]

    def info(self, role: str = MAIN) -> ModelInfo:
        """Who serves `role` now."""
        name = self.current(role)
        return self._open[name].info if name in self._open else self._catalog[name].info

    def model(self, role: str = MAIN) -> Model:
        """The model that serves `role`, opened; where that fails, the next of its chain.

        Raises what opening the last one raised.
        """
        while True:
            name = self.current(role)
            try:
                return self._opened(name)
            except (UsageError, BackendError) as error:
                if not self.give_up(role, name, error):
                    raise

    def give_up(self, role: str, name: str, error: LocalAgentError) -> bool:
        """Use the model `name` no more; False, and nothing done, where no other is left."""
        left = [other for other in self._chain(role) if other != name]
        if not left:
            return False
        self._given_up.add(name)
        self._close(name)
        self._warnings.append(f"{name} is given up ({error.message}); {left[0]} takes over")
        self._switches.append(Switch(role, self.info(role), error.message))
        return True

    def failed(self, role: str, name: str, error: LocalAgentError) -> None:
        """A request failed in the middle; after `ATTEMPTS` in a row another model takes over."""
        self._failures[name] = self._failures.get(name, 0) + 1
        if self._failures[name] >= ATTEMPTS and self.give_up(role, name, error):
            self._failures[name] = 0

    def worked(self, name: str) -> None:
        """A request was carried out."""
        self._failures.pop(name, None)

    def switch(self, model_id: str) -> ModelInfo:
        """Give the main role to another model; the old one keeps it where this raises.

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
        """What the user should be told; each is given once."""
        warnings, self._warnings = self._warnings, []
        return warnings

    def drain_switches(self) -> list[Switch]:
        """The changes since the last call."""
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
        """What may serve `role`, the best first; never empty."""
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
        """Close models that are not main's where another one would not fit beside them.

        Main's is never closed for another, as what it has read would have to be read again: raises
        ModelLoadError instead, and the other's role falls to it.
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
    """A `Model` that is whichever one serves a role; `info` follows. See `Router`."""

    def __init__(self, router: Router, role: str) -> None:
        self._router = router
        self._role = role

    @property
    def info(self) -> ModelInfo:
        """Who serves the role now."""
        return self._router.info(self._role)

    def count(self, text: str) -> int:
        """The number of tokens of `text`, by the tokenizer of the model that serves the role."""
        return self._ask(lambda model: model.count(text))

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """The tokens of a prompt, by the model that serves the role."""
        return self._ask(lambda model: model.tokenize(request))

    def generate(self, request: Request) -> Iterator[Chunk]:
        """As the model's own; a request that nothing came of goes to the next one."""
        return only(self._run(lambda model: model.generate_all([request])))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """As the model's own; requests that nothing came of go to the next one."""
        return self._run(lambda model: model.generate_all(requests))

    def cancel(self, place: int | None = None) -> None:
        """Stop what runs, on whichever model."""
        self._router.cancel(place)

    def close(self) -> None:
        """Close the models of all roles."""
        self._router.close()

    def _ask(self, ask: Callable[[Model], _T]) -> _T:
        """What a model says, where it can be used; otherwise what the next one says."""
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
            except (ServerError, PromptTruncated) as error:  # which nobody tries again
                self._router.give_up(self._role, name, error)
                raise
