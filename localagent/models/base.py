"""The `Model` protocol: what the agent knows of a language model.

A backend (`llamacpp`, `scripted`) implements `Model`. One generation runs at a time; `generate`
is a generator of chunks that ends with exactly one `Finish`, and `cancel` is the one method that
may be called from another thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localagent.messages import Message

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a model is best used; from models.lock.

    `window` is in tokens. `fim` says that the model was trained to fill in the middle.
    `edit_format` is the shape that code comes back in ("whole", "function", "search-replace").
    """

    planner: str = "workflow"
    edit_format: str = "whole"
    window: int = 8192
    fim: bool = False
    candidates: int = 4
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Who the model is: its id in the lock, its file's sha256 (or ""), its backend and profile."""

    id: str
    backend: str
    sha256: str
    profile: Profile


@dataclass(frozen=True, slots=True)
class Infill:
    """A request to write what stands between `prefix` and `suffix` (fill in the middle)."""

    prefix: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Request:
    """One generation.

    `prompt` is a conversation (rendered by the model's own chat template) or an `Infill`.
    `reply_start` is put at the start of the assistant's reply, and is not part of the chunks.
    `grammar` is GBNF with the rule `root`. `temperature` 0 means greedy. `max_tokens` limits the
    reply; a limit of 0 reads the prompt and generates nothing.
    """

    prompt: Sequence[Message] | Infill
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    seed: int = 0
    grammar: str | None = None
    reply_start: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts and wall-clock times (seconds) of one generation.

    `prompt_tokens` is the whole prompt; `reused_tokens` of them were still in the cache and were
    not read again.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Progress of reading the prompt: `done` of `total` tokens, of which `reused` cost nothing."""

    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the reply, never splitting a character."""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the user should know, such as a restart with safer settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation. A stop sequence is not part of the text."""

    reason: FinishReason
    usage: Usage


Chunk = Reading | Text | Notice | Finish


class Model(Protocol):
    """A language model that runs on this machine."""

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""

    def count(self, text: str) -> int:
        """The number of tokens of `text` by the model's own tokenizer."""

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Generate a reply as a stream that ends with one `Finish`.

        Raises BackendError (WorkerDied, WorkerHung, ModelLoadError, ContextOverflow). After such
        an error the model is usable again: the next call starts it anew.
        """

    def cancel(self) -> None:
        """Stop the running generation within a second; it ends with `Finish("cancelled")`."""

    def close(self) -> None:
        """Free the model. It must not be used afterwards."""
