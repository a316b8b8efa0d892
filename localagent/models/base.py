"""The `Model` protocol: what the agent knows of a language model.

A backend (`llamacpp`, `ollama`, `scripted`) implements `Model`. One call runs at a time. `generate`
yields chunks and ends with exactly one `Finish`. Only `cancel` may be called from another thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Protocol

from localagent.core.messages import Message
from localagent.models.chat_templates.form import TemplateForm, Variable

FinishReason = Literal["stop", "length", "cancelled"]

ThinkFor = Literal["all", "plans"]
"""Which replies a model may think about: plans, answers and steps of `react`, or plans only."""

KvType = Literal["f16", "q8_0"]
"""The types of numbers in the KV cache."""

ATTEMPTS = 3
"""How often a request that kills its worker is tried. After that the cause is the request or the
machine, and a fallback model takes over."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. `temperature` 0 is greedy, `top_k` 0 takes all tokens.

    The penalties lower the chance of tokens that the reply has already: `presence_penalty` is
    subtracted from their logits, `repeat_penalty` divides them.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0


@dataclass(frozen=True, slots=True)
class Profile:
    """How to use a model best; from models.lock.

    `window` is in tokens. `fim` says that the model can fill in the middle. `parallel` is the most
    replies that are worth writing side by side. `think` is the most tokens for thinking before a
    reply; 0 turns it off if the backend can. `think_for` "plans" limits it to plans.
    `variables` are values for the chat template.
    `calls` is the form of tool calls: "fenced" is localagent's own, "native" the template's.

    `temperature` to `repeat_penalty` are the sampling of a reply without a thought, `thinking` is
    that of a reply with one (None: the same). Unless `greedy`, no reply is decoded greedily.
    """

    planner: str = "workflow"
    window: int = 8192
    fim: bool = False
    candidates: int = 4
    parallel: int = 8
    think: int = 0
    think_for: ThinkFor = "all"
    calls: Literal["fenced", "native"] = "fenced"
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    greedy: bool = True
    thinking: Sampling | None = None
    variables: Mapping[str, Variable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The identity of a model: its id in the lock, its backend, its profile and its hashes.

    `sha256` is the file's, or "". `template_sha256` is the pinned one of the chat template, or "".
    `form` is the pinned form of the template; None leaves it to the backend.
    `raw_text` says that the backend takes a `RawText`.
    """

    id: str
    backend: str
    sha256: str
    profile: Profile
    template_sha256: str = ""
    raw_text: bool = False
    form: TemplateForm | None = None


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
    the backend reads the prompt and generates nothing. With `think`, a thought of so many tokens
    may come before the reply. `tools` are schemas of native tools, in JSON. With a `trigger`, the
    grammar begins after that text, so a thought and text before a call are free.

    The first `fixed` messages are the same in every session (rules, tools). Later prompts of the
    session begin with a prompt that `continues`. A backend may store the KV cache of both on disk.
    """

    prompt: Prompt
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    presence_penalty: float = 0.0
    repeat_penalty: float = 1.0
    seed: int = 0
    think: int = 0
    tools: str = ""
    trigger: str = ""
    grammar: str | None = None
    choices: tuple[str, ...] = ()
    reply_start: str = ""
    fixed: int = 0
    continues: bool = False

    @property
    def penalizes(self) -> bool:
        """Whether tokens of the reply lower the chance of the same ones."""
        return self.presence_penalty != 0 or self.repeat_penalty != 1


def sampled(request: Request, profile: Profile) -> Request:
    """The request with the sampling of the profile, where the request leaves it open.

    A greedy request stays greedy if the model allows it, and so does a choice or a raw text.
    """
    keys = [each.name for each in fields(Sampling)]
    if request.think and profile.thinking:
        return replace(request, **{key: getattr(profile.thinking, key) for key in keys})
    given = request.choices or isinstance(request.prompt, RawText)
    if given or (request.temperature == 0 and profile.greedy):
        return request
    if request.temperature == 0:
        return replace(request, **{key: getattr(profile, key) for key in keys})
    more = keys[keys.index("min_p") :]
    return replace(request, **{key: getattr(profile, key) for key in more})


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts and wall-clock times (seconds) of one generation.

    `prompt_tokens` counts the whole prompt. The cache still held `reused_tokens` of them.
    `thought_tokens` of the `completion_tokens` belong to a thought.
    """

    prompt_tokens: int = 0
    reused_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    thought_tokens: int = 0


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
class Thought:
    """A piece of the thought before a reply, with the markers around it."""

    thought: str


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """A warning for the user, such as a restart with safer settings."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a reply. A stop sequence is not part of the text."""

    reason: FinishReason
    usage: Usage


Chunk = Reading | Thought | Text | ModelWarning | Finish


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
