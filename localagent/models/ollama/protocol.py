"""The messages to and from an Ollama server; every answer is checked here.

Source: `api/types.go` and `server/routes.go` of Ollama, versions 0.5.0 to 0.32.15. Fields that
older servers lack are None or empty; unknown ones are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from localagent.core.errors import BackendError, ServerError
from localagent.models.base import Infill, RawText, Request
from localagent.models.server.request import ReplyPiece, RequestTarget, limit, thinks

KEEP_ALIVE = "30m"
"""How long the server keeps the model after a request. Its own 5 minutes are less than a user takes
to read a change, and a second load with its prompt takes too long."""


@dataclass(frozen=True, slots=True)
class OllamaModel(RequestTarget):
    """The model of a request, with its own `stops`."""

    stops: tuple[str, ...] = ()


def load(target: OllamaModel) -> dict[str, Any]:
    """The body of a chat without messages: the server just loads the model."""
    return {**_frame(target), "messages": [], "stream": False}


def body(target: OllamaModel, request: Request) -> tuple[str, dict[str, Any]]:
    """The path and the body for a request. Raises BackendError for a `RawText`."""
    common = {**_frame(target), "stream": True, "think": thinks(target, request)}
    common["options"] = {**common["options"], **_sampling(target, request)}
    prompt = request.prompt
    if isinstance(prompt, Infill):
        # Without a prompt the server only loads the model; without a suffix it takes the prompt for
        # a question. A line break in their place does not change the text between them.
        sides = {"prompt": prompt.prefix or "\n", "suffix": prompt.suffix or "\n"}
        return "/api/generate", {**common, **sides}
    if isinstance(prompt, RawText):
        raise BackendError("Ollama does not report token probabilities", "use a GGUF model")
    # A native call of another model is text here, and its result the user's.
    roles = {"tool": "user"}
    messages = [{"role": roles.get(m.role, m.role), "content": m.content} for m in prompt]
    if request.reply_start:  # the server continues an assistant's message that comes last
        messages.append({"role": "assistant", "content": request.reply_start})
    if request.choices:
        common["format"] = {"type": "string", "enum": list(request.choices)}
    return "/api/chat", {**common, "messages": messages}


def _frame(target: OllamaModel) -> dict[str, Any]:
    """The fields that all requests of a session share."""
    return {
        "model": target.name,
        "truncate": False,
        "shift": False,
        "keep_alive": KEEP_ALIVE,
        "options": {"num_ctx": target.window},
    }


def _sampling(target: OllamaModel, request: Request) -> dict[str, Any]:
    options: dict[str, Any] = {
        "num_predict": limit(target, request),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed % 2**31,
        # As on llama.cpp; Ollama's own penalty of 1.1 is for chats, and code repeats itself.
        "repeat_penalty": request.repeat_penalty,
        "presence_penalty": request.presence_penalty,
        "min_p": request.min_p,
    }
    if request.stop:  # the stops of a request replace the model's own
        options["stop"] = [*target.stops, *request.stop]
    return options


Count = Annotated[int, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Version(_Answer):
    """Of `/api/version`."""

    version: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first three numbers, such as (0, 12, 6); (0, 0, 0) for a build from source."""
        found = [int(number[:9]) for number in re.findall(r"\d+", self.version)[:3]]
        return tuple(found + [0] * (3 - len(found)))


class Cloud(_Answer):
    """Whether the server's connection to its maker's cloud is disabled."""

    disabled: bool | None = None


class ServerStatus(_Answer):
    """Of `/api/status`, which older servers do not know."""

    cloud: Cloud | None = None


class Details(_Answer):
    """The make of a model; for the user, and for a first guess at its size."""

    parameter_size: str = ""
    quantization_level: str = ""


class _Placed(_Answer):
    """Where a model runs: "" means on the machine of the server."""

    remote_host: str | None = None
    remote_model: str | None = None

    @property
    def remote(self) -> str:
        """The other host that would get this, or ""."""
        return self.remote_host or self.remote_model or ""


class Tagged(_Placed):
    """A model in `/api/tags`. `digest` is the sha256 of its manifest, `size` in bytes."""

    name: str = ""
    model: str = ""
    digest: str = ""
    size: Count = 0
    details: Details | None = None


class Tags(_Answer):
    """Of `/api/tags`."""

    models: list[Tagged] | None = None


class Show(_Placed):
    """Of `/api/show`; `parameters` has a line for each, as in a Modelfile."""

    template: str = ""
    parameters: str = ""
    license: str = ""
    capabilities: list[str] | None = None
    model_info: Mapping[str, Any] | None = None
    details: Details | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The model's own stop sequences."""
        found = re.findall(r'^stop\s+("(?:[^"\\]|\\.)*")\s*$', self.parameters, re.M)
        return tuple(text for text in map(_text, found) if text)

    @property
    def trained_window(self) -> int:
        """Tokens that the model was trained for, or 0."""
        for key, value in (self.model_info or {}).items():
            if key.endswith(".context_length") and isinstance(value, int):
                return value
        return 0

    @property
    def fills_in(self) -> bool:
        """Whether the server can render a fill-in-the-middle prompt for it."""
        return "insert" in (self.capabilities or ()) or ".Suffix" in self.template


class LoadedModelInfo(_Answer):
    """A model in `/api/ps`. `context_length` is its window in tokens (0.10.0 and later)."""

    name: str = ""
    model: str = ""
    digest: str = ""
    context_length: Count = 0


class Running(_Answer):
    """Of `/api/ps`."""

    models: list[LoadedModelInfo] | None = None


class MessagePart(_Answer):
    """A part of an assistant's message."""

    content: str | None = None
    thinking: str | None = None


class StreamLine(_Placed):
    """One line of `/api/chat` (with `message`) or `/api/generate` (with `response`).

    The last one has `done`, and the counts (tokens) and durations (nanoseconds).
    `prompt_eval_count` is the whole prompt; `prompt_eval_cached_count` the part that was reused.
    """

    message: MessagePart | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Count | None = None
    prompt_eval_cached_count: Count | None = None
    prompt_eval_duration: Count = 0
    eval_count: Count = 0
    eval_duration: Count = 0

    def piece(self) -> ReplyPiece:
        """The line as a piece of the reply. Raises ServerError for a prompt that was not read."""
        if self.done and self.done_reason in ("load", "unload"):
            raise ServerError("Ollama found nothing to read in the prompt", "say more in the task")
        said = self.message
        return ReplyPiece(
            text=(said.content if said else self.response) or "",
            thought=(said.thinking if said else self.thinking) or "",
            end=("length" if self.done_reason == "length" else "stop") if self.done else "",
            prompt_tokens=self.prompt_eval_count,
            cached_tokens=self.prompt_eval_cached_count or 0,
            completion_tokens=self.eval_count,
            prefill_seconds=self.prompt_eval_duration / 1e9,
            decode_seconds=self.eval_duration / 1e9,
        )


def _text(quoted: str) -> str:
    """The value of a string in a Modelfile, or "" if it is no such string."""
    try:
        return str(json.loads(quoted))
    except ValueError:
        return ""
