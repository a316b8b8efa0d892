"""What the worker's parts know of the native library: a loaded model with its KV cache.

Behind these protocols the rest of the worker can be run with a toy in the library's place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from localagent.models.base import Request
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import Gpu
from localagent.models.llamacpp.worker.chat_template import ChatTemplate


class RequestFailed(Exception):
    """A request that cannot be carried out; the worker stays usable."""

    def __init__(
        self,
        kind: Literal["load", "cancelled", "overflow", "backend"],
        message: str,
        hint: str = "",
        needed: int = 0,
        window: int = 0,
    ) -> None:
        super().__init__(message)
        self.failure = protocol.Failure(
            id=0,
            kind=kind,
            message=protocol.clean(message),
            hint=hint,
            needed=needed,
            window=window,
        )

    def reply(self, request_id: int) -> protocol.Failure:
        """The message for the parent."""
        return self.failure.model_copy(update={"id": request_id})


class BatchRow(NamedTuple):
    """One token of a step: its position in sequence `seq`, and whether its logits are wanted."""

    token: int
    position: int
    seq: int
    wanted: bool


Outcome = Literal["done", "stopped", "full"]
"""Of a step: all rows are decoded; it was interrupted; the KV cache has no room for it."""


class TokenSampler(Protocol):
    """Chooses a run's tokens."""

    def sample(self, row: int) -> int:
        """A token, by the logits of a row of the last step."""

    def is_sure(self, row: int) -> bool:
        """Whether the choice by this row's logits would be the same in a step of one row, whose
        arithmetic is a little different."""

    def close(self) -> None:
        """Free it."""


class Llm(Protocol):
    """A loaded model with a KV cache of several sequences, which may share cells."""

    @property
    def window(self) -> int:
        """The most tokens of one sequence."""

    @property
    def batch(self) -> int:
        """The most rows of one step."""

    @property
    def parallel(self) -> int:
        """The most runs that are written side by side."""

    @property
    def sequences(self) -> int:
        """The number of sequences, more than `parallel`; they are numbered from 0."""

    @property
    def template(self) -> ChatTemplate:
        """The model's chat template."""

    @property
    def begin(self) -> Sequence[int]:
        """The tokens that every prompt begins with: the BOS token, or none."""

    @property
    def fim(self) -> tuple[int, int, int] | None:
        """The tokens before prefix, suffix and middle, where the vocabulary has them."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The tokens of `text`; texts of control tokens become these only where `special`."""

    def piece(self, token: int) -> bytes:
        """A token's bytes; none for a control token."""

    def is_end(self, token: int) -> bool:
        """Whether a token ends the reply."""

    def keep(self, seq: int, count: int) -> bool:
        """Drop all but a sequence's first `count` tokens; False: it had to drop all."""

    def copy(self, source: int, target: int, count: int) -> bool:
        """Let `target`, which is empty, share the first `count` tokens of `source`; False: that
        cannot be, and it is still empty."""

    def decode(self, rows: Sequence[BatchRow], interrupted: Callable[[], bool] | None) -> Outcome:
        """Decode at most `batch` rows; `interrupted` is asked often. Raises RequestFailed.

        Unless all is done, the KV cache may hold any part of the rows.
        """

    def sampler(self, request: Request) -> TokenSampler:
        """A sampler for the reply to a request. Raises RequestFailed for a bad grammar."""

    def save(self, seq: int, path: Path, tokens: Sequence[int]) -> None:
        """Write a sequence's KV cache, which is of `tokens`, to a file. Raises OSError."""

    def restore(self, seq: int, path: Path, tokens: Sequence[int]) -> bool:
        """Read what `save` wrote into an empty sequence; False, and still empty, where the file
        is not of these tokens, this model and these settings."""

    def use_threads(self, count: int) -> None:
        """Use so many threads from now on."""


class LoadedLlm(Llm, Protocol):
    """A model in memory."""

    @property
    def facts(self) -> protocol.LoadReply:
        """The reply to the request that loaded it."""

    def close(self) -> None:
        """Free its memory."""


class NativeLibrary(Protocol):
    """The native library."""

    @property
    def version(self) -> str:
        """Its name and version."""

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The graphics processors that it can use."""

    def load(
        self,
        request: protocol.Load,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> LoadedLlm:
        """Load a model. Raises RequestFailed, of kind "cancelled" where `cancelled` said so."""
