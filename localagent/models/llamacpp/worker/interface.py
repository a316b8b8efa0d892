"""What the parts of the worker know of the native library: a loaded model with its KV cache.

A toy behind these protocols lets tests run the rest of the worker without the library.
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
    """One token of a step, with its position in sequence `seq`; `wanted` asks for its logits."""

    token: int
    position: int
    seq: int
    wanted: bool


Outcome = Literal["done", "stopped", "full"]
"""The outcome of a step: all rows decoded, interrupted, or no room in the KV cache."""


class TokenSampler(Protocol):
    """Chooses the tokens of a reply."""

    def sample(self, row: int) -> int:
        """Choose a token by the logits of a row of the last step."""

    def start_grammar(self) -> None:
        """Apply the grammar of the request from the next token on; it rests during a thought."""

    def is_sure(self, row: int) -> bool:
        """Whether a step of this row alone would give the same choice.

        The arithmetic of such a step differs a little.
        """

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
        """The tokens before prefix, suffix and middle, if the vocabulary has them."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The tokens of `text`; the texts of control tokens become such only if `special`."""

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """A token's bytes; none for a control token, except with `special`."""

    def is_end(self, token: int) -> bool:
        """Whether a token ends the reply."""

    @property
    def rewinds(self) -> bool:
        """Whether a sequence can go back to any of its tokens; if not, only to a checkpoint.

        Recurrent layers hold one state for all tokens, and a short sliding window the last tokens.
        """

    @property
    def slides(self) -> bool:
        """Whether layers have a sliding window: a file of `save` holds their last tokens only."""

    def checkpoint(self, seq: int) -> bytes:
        """The state at the end of a sequence, without the part that can go back."""

    def keep(self, seq: int, count: int, state: bytes = b"") -> bool:
        """Drop all but the first `count` tokens of a sequence; False if all had to go.

        `state` is the checkpoint after these tokens, if the model does not rewind.
        """

    def copy(self, source: int, target: int, count: int, state: bytes = b"") -> bool:
        """Let the empty `target` share the first `count` tokens of `source`.

        `state` is the checkpoint after these tokens, if the model does not rewind and they are not
        all. Returns False if that is impossible; `target` is still empty then.
        """

    def decode(self, rows: Sequence[BatchRow], interrupted: Callable[[], bool] | None) -> Outcome:
        """Decode at most `batch` rows; `interrupted` is called often. Raises RequestFailed.

        Unless all is done, the KV cache may hold any part of the rows. A model that does not
        rewind holds none of them if there is no room.
        """

    def likeliest(self, row: int, count: int) -> list[tuple[int, float]]:
        """The likeliest tokens by the logits of a row of the last step, with probabilities."""

    def sampler(self, request: Request) -> TokenSampler:
        """Make a sampler for the reply to a request. Raises RequestFailed for a bad grammar."""

    def save(self, seq: int, path: Path, tokens: Sequence[int]) -> None:
        """Write the KV cache of a sequence with these `tokens` to a file. Raises OSError."""

    def restore(self, seq: int, path: Path, tokens: Sequence[int]) -> bool:
        """Read a file of `save` into an empty sequence.

        Returns False for a file of other tokens, another model or other settings; the sequence is
        still empty then.
        """

    def use_threads(self, count: int) -> None:
        """Set the number of threads."""


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
        """Load a model. Raises RequestFailed, of kind "cancelled" if `cancelled` returned True."""
