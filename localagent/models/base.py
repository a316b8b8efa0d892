"""The `Model` protocol: what the agent knows of a language model.

A backend (`llamacpp`, `ollama`, `scripted`) implements `Model`. One call runs at a time. `generate`
yields chunks and ends with exactly one `Finish`. Only `cancel` may be called from another thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from localagent.core.messages import Message

FinishReason = Literal["stop", "length", "cancelled"]

KvType = Literal["f16", "q8_0"]
"""The types of numbers in the KV cache."""

ATTEMPTS = 3
"""How often a request that kills its worker is tried. After that the cause is the request or the
machine, and a fallback model takes over."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How to use a model best; from models.lock.

    `window` is in tokens. `fim` says that the model can fill in the middle. `parallel` is the most
    replies that are worth writing side by side. `think` is the most tokens for thinking before a
    reply; 0 turns it off if the backend can.
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
    """The identity of a model: its id in the lock, its backend, its profile and its hashes.

    `sha256` is the file's, or "". `template_sha256` is the pinned one of the chat template, or "".
    `raw_text` says that the backend takes a `RawText`.
    """

    id: str
    backend: str
    sha256: str
    profile: Profile
    template_sha256: str = ""
    raw_text: bool = False


@dataclass(frozen=True, slots=True)
class Infill:
    """A request for the text between `prefix` and `suffix` (fill in the middle)."""

    prefix: str
    suffix: str


@dataclass(frozen=True, slots=True)
class RawText:
    """A text that the model continues without its chat template.

    With `options`, the reply is not a continuation: it lists so many likely tokens for each place
    from byte `start` on (see `models.alternatives`). A `branch` names a place of the text that the
    model has just read, by its number, and a token. The reply then continues the text before the
    place and this token; it is empty if the model no longer holds the text.
    """

    text: str
    start: int = 0
    options: int = 0
    branch: tuple[int, int] | None = None


Prompt = Sequence[Message] | Infill | RawText


@dataclass(frozen=True, slots=True)
class Request:
    """One generation.

    `prompt` is a conversation (rendered by the model's own chat template), an `Infill` or a
    `RawText`.
    `reply_start` begins the assistant's reply, and is not part of the chunks. With `choices`, the
    reply is exactly one of these texts. `grammar` is GBNF with the rule `root`; a backend without
    GBNF (Ollama) ignores it. `temperature` 0 means greedy. `max_tokens` limits the reply; with 0
    the backend reads the prompt and generates nothing.

    The first `fixed` messages are the same in every session (rules, tools). Later prompts of the
    session begin with a prompt that `continues`. A backend may store the KV cache of both on disk.
    """

    prompt: Prompt
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

    `prompt_tokens` counts the whole prompt. The cache still held `reused_tokens` of them.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Progress of reading the prompt, in tokens; `reused` tokens of `done` cost nothing."""

    done: int
    total: int
    reused: int


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the reply; it never splits a character."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """A warning for the user, such as a restart with safer settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a reply. A stop sequence is not part of the text."""

    reason: FinishReason
    usage: Usage


Chunk = Reading | Text | ModelWarning | Finish


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A request's prompt as the model sees it, and the ends of its tokens.

    `ends` has the end of each token, as an offset in the UTF-8 bytes of `text`. Offsets never fall:
    a token without text ends with the token before it. `places` has the first and last offset of
    each message, of an infill's prefix and suffix, or of a raw text; the chat template wrote the
    text between them. Unless `exact`, the tokens are estimated and spread evenly.
    """

    text: str
    ends: tuple[int, ...]
    places: tuple[tuple[int, int], ...]
    exact: bool = True


def only(chunks: Generator[tuple[int, Chunk], None, None]) -> Generator[Chunk, None, None]:
    """Implement `Model.generate` with `generate_all` of one request; closing ends it."""
    with contextlib.closing(chunks):
        for _, chunk in chunks:
            yield chunk


def one_by_one(
    generate: Callable[[Request], Iterator[Chunk]], requests: Sequence[Request]
) -> Generator[tuple[int, Chunk], None, None]:
    """Implement `Model.generate_all` for a backend that writes one reply at a time."""
    for place, request in enumerate(requests):
        for chunk in generate(request):
            yield place, chunk


class Model(Protocol):
    """A language model that runs on this machine."""

    @property
    def info(self) -> ModelInfo:
        """The identity of the model."""

    def count(self, text: str) -> int:
        """Count the tokens of `text`; a backend without a tokenizer returns a high estimate."""

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Return a request's prompt with its tokens, as `generate` reports them. Raises as it."""

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Generate a reply as a stream that ends with one `Finish`.

        Raises BackendError (WorkerDied, WorkerHung, ModelLoadError, ContextOverflow; on Ollama also
        ServerError, PromptTruncated, ModelFileError), ModelNotInstalled or NotLocal. The model
        stays usable after an error: the next call starts anew.
        """

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies to several requests, side by side if the backend can.

        Yields pairs of a request's place in `requests` and a chunk of its reply. The chunks of one
        request come in order, and each request ends with one `Finish`. Closing the generator ends
        the requests that still run. Raises as `generate` does.
        """

    def cancel(self, place: int | None = None) -> None:
        """Stop the running generation within a second, or only the reply to the request at `place`.

        A stopped reply ends with `Finish("cancelled")`.
        """

    def close(self) -> None:
        """Free the model. No other call may follow."""
