"""The `Model` protocol: what the agent knows of a language model.

A backend (`llamacpp`, `ollama`, `scripted`) implements `Model`. One call runs at a time; `generate`
is a generator of chunks that ends with exactly one `Finish`, and `cancel` is the one method that
may be called from another thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localagent.core.messages import Message

FinishReason = Literal["stop", "length", "cancelled"]

KvType = Literal["f16", "q8_0"]
"""Types of the numbers in the KV cache that are used."""

ATTEMPTS = 3
"""How often a request that kills its worker is tried: after that the cause is the request or the
machine, and another model takes over where there is one."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How a model is best used; from models.lock.

    `window` is in tokens. `fim` says that the model was trained to fill in the middle.
    `parallel` is the most replies that are worth writing side by side. `think` is how many tokens a
    model that thinks first may spend on that; 0 turns it off, where the backend can.
    """

    planner: str = "workflow"
    window: int = 8192
    fim: bool = False
    candidates: int = 4
    parallel: int = 8
    think: int = 0
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Who the model is: its id in the lock, its file's sha256 (or ""), its backend and profile, and
    the pinned sha256 of its chat template (or "")."""

    id: str
    backend: str
    sha256: str
    profile: Profile
    template_sha256: str = ""


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
    `choices` are the texts of which the reply is exactly one; empty: it is free. `grammar` is GBNF
    with the rule `root`; a backend without GBNF (Ollama) ignores it. `temperature` 0 means greedy.
    `max_tokens` limits the reply; a limit of 0 reads the prompt and generates nothing.

    The first `fixed` messages are the same in every session (rules, tools), and a prompt that
    `continues` begins later ones of its session; a backend may keep what it read of either on disk.
    """

    prompt: Sequence[Message] | Infill
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    seed: int = 0
    grammar: str | None = None
    choices: tuple[str, ...] = ()
    reply_start: str = ""
    fixed: int = 0
    continues: bool = False


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
class ModelWarning:
    """A warning for the user, such as a restart with safer settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation. A stop sequence is not part of the text."""

    reason: FinishReason
    usage: Usage


Chunk = Reading | Text | ModelWarning | Finish


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A request's prompt as the model sees it, and where its tokens end.

    `ends` are offsets in the text's UTF-8 bytes, one for each token, never falling; a token that
    has no text ends where the one before it does. `places` are the first and last offset of what
    each message says, or of an infill's prefix and suffix; what is between them is the model's own
    template. Unless `exact`, the tokens are estimated, and spread evenly.
    """

    text: str
    ends: tuple[int, ...]
    places: tuple[tuple[int, int], ...]
    exact: bool = True


def only(chunks: Generator[tuple[int, Chunk], None, None]) -> Generator[Chunk, None, None]:
    """`Model.generate` of a backend, by its `generate_all` of one request; ends it when closed."""
    with contextlib.closing(chunks):
        for _, chunk in chunks:
            yield chunk


def one_by_one(
    generate: Callable[[Request], Iterator[Chunk]], requests: Sequence[Request]
) -> Generator[tuple[int, Chunk], None, None]:
    """`Model.generate_all` of a backend that writes one reply at a time."""
    for place, request in enumerate(requests):
        for chunk in generate(request):
            yield place, chunk


class Model(Protocol):
    """A language model that runs on this machine."""

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""

    def count(self, text: str) -> int:
        """The number of tokens of `text` by the model's own tokenizer, or a careful estimate where
        the backend does not offer it."""

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """The tokens of a request's prompt: those that `generate` would report for it. Raises as
        `generate` does."""

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Generate a reply as a stream that ends with one `Finish`.

        Raises BackendError (WorkerDied, WorkerHung, ModelLoadError, ContextOverflow; on Ollama also
        ServerError, PromptTruncated, ModelFileError), ModelNotInstalled or NotLocal. After an error
        the model is usable again: the next call starts anew.
        """

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies to several requests, side by side where the backend can.

        Yields pairs of the request's place in `requests` and its chunk; the chunks of one request
        come in their order, and each request ends with one `Finish`. Who stops taking them ends
        those that still run. Raises as `generate` does.
        """

    def cancel(self, place: int | None = None) -> None:
        """Stop the running generation within a second, or only the reply to the request at `place`;
        what was stopped ends with `Finish("cancelled")`."""

    def close(self) -> None:
        """Free the model. It must not be used afterwards."""
