"""The messages to and from a server that speaks OpenAI's API; every answer is checked here.

Sources: tools/server/README.md of llama.cpp, llama_cpp/server of llama-cpp-python 0.3.36, the
documentation of vLLM 0.12 and LM Studio's REST API v0. Unknown fields are ignored, and fields that
a server leaves out are None or empty.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from localagent.core.errors import BackendError
from localagent.models.base import Infill, RawText, Request
from localagent.models.chat_templates.form import TemplateForm, Variable
from localagent.models.openai.messages import chat_messages
from localagent.models.openai.software import Software
from localagent.models.server.request import RequestTarget, limit, thinks
from localagent.models.server.tokens import FIRST


@dataclass(frozen=True, slots=True)
class OpenAiTarget(RequestTarget):
    """The model of a request, with its server's `software` and its template's `form`.

    `variables` are the profile's values for the chat template.
    """

    software: Software = field(default_factory=Software)
    form: TemplateForm = field(default_factory=TemplateForm)
    variables: Mapping[str, Variable] = field(default_factory=dict)


def body(target: OpenAiTarget, request: Request) -> tuple[str, dict[str, Any]]:
    """The path and the body for a request. Raises BackendError for one that no server takes."""
    prompt = request.prompt
    if isinstance(prompt, RawText):
        raise BackendError("the server does not report token probabilities", "use a GGUF model")
    common = {"model": target.name, "stream": True, **_sampling(target, request)}
    if isinstance(prompt, Infill):
        return _infill(target, prompt, common)
    common |= {"stream_options": {"include_usage": True}, "return_progress": True}
    messages = chat_messages(prompt, target.form, native=bool(request.tools))
    if request.reply_start and target.software.prefill != "grammar":
        messages.append({"role": "assistant", "content": request.reply_start})
        if target.software.prefill == "continue":
            common |= {"continue_final_message": True, "add_generation_prompt": False}
    form, think = target.form, thinks(target, request)
    variables = {**(form.on if think else form.off), **target.variables}
    if variables:
        common["chat_template_kwargs"] = variables
    if request.tools:
        common |= {"tools": json.loads(request.tools), "tool_choice": "auto"}
    else:
        common |= _constraint(target.software, request)
    return "/chat/completions", {**common, "messages": messages}


def _infill(
    target: OpenAiTarget, prompt: Infill, common: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    if target.software.infill == "/infill":
        sides = {"input_prefix": prompt.prefix, "input_suffix": prompt.suffix}
        return "/infill", {**common, **sides, "n_predict": common["max_tokens"]}
    if target.software.infill:
        return target.software.infill, {**common, "prompt": prompt.prefix, "suffix": prompt.suffix}
    raise BackendError(
        "the server does not support infilling",
        "set fim = false in the model's profile in models.lock",
    )


def _sampling(target: OpenAiTarget, request: Request) -> dict[str, Any]:
    room = limit(target, request)
    if request.reply_start and target.software.prefill == "grammar":
        room += math.ceil(len(request.reply_start.encode()) / FIRST) + 2
    values: dict[str, Any] = {
        "max_tokens": room,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed % 2**31,
        "presence_penalty": request.presence_penalty,
        # llama.cpp's name, and vLLM's; each ignores the other.
        "repeat_penalty": request.repeat_penalty,
        "repetition_penalty": request.repeat_penalty,
        "min_p": request.min_p,
        "top_k": request.top_k,
    }
    return {**values, "stop": list(request.stop)} if request.stop else values


def _constraint(software: Software, request: Request) -> dict[str, Any]:
    """The fields that hold the reply to a choice, to a grammar or to its beginning."""
    grammar = request.grammar or ""
    if request.choices and not software.grammar:
        schema = {"type": "string", "enum": list(request.choices)}
        shape = {"name": "choice", "strict": True, "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": shape}}
    if request.choices:
        grammar = f"root ::= {' | '.join(map(_quoted, request.choices))}"
    if request.reply_start and software.prefill == "grammar":
        rest = re.sub(r"\broot\b", "reply", grammar) if grammar else r"reply ::= [^\x00]*"
        grammar = f"root ::= {_quoted(request.reply_start)} reply\n{rest}"
    if not (grammar and software.grammar):
        return {}
    if software.grammar == "structured_outputs":
        return {"structured_outputs": {"grammar": grammar}}
    return {"grammar": grammar}


def _quoted(text: str) -> str:
    """A text as a literal of GBNF."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter, letter) for letter in text) + '"'


def without_constraint(sent: dict[str, Any]) -> dict[str, Any] | None:
    """The body without grammar and schema; None if it has neither."""
    keys = {"grammar", "structured_outputs", "response_format"} & set(sent)
    return {key: value for key, value in sent.items() if key not in keys} if keys else None


Count = Annotated[int, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class ModelMeta(_Answer):
    """What llama.cpp's server says of a model's file."""

    n_ctx_train: Count = 0
    n_params: Count = 0
    n_vocab: Count = 0
    size: Count = 0


class ListedModel(_Answer):
    """A model in `/models`. `max_model_len` is vLLM's window, `root` the path of its model."""

    id: str
    owned_by: str = ""
    root: str | None = None
    max_model_len: Count | None = None
    meta: ModelMeta | None = None


class ModelList(_Answer):
    """Of `/models`."""

    data: list[ListedModel] = []


class SlotSettings(_Answer):
    """The settings of one of llama.cpp's slots; `n_ctx` is its window."""

    n_ctx: Count = 0


class Props(_Answer):
    """Of `/props` of llama.cpp's server."""

    default_generation_settings: SlotSettings | None = None
    total_slots: Count = 0
    model_path: str = ""
    chat_template: str = ""


class StudioModel(_Answer):
    """A model in `/api/v0/models` of LM Studio."""

    id: str
    type: str = ""
    arch: str = ""
    quantization: str | None = None
    state: str = ""
    loaded_context_length: Count | None = None
    max_context_length: Count | None = None


class StudioList(_Answer):
    """Of `/api/v0/models`."""

    data: list[StudioModel] = []


class TokenizeAnswer(_Answer):
    """Of `/tokenize` (tokens) and of `/extras/tokenize/count` (count)."""

    tokens: list[int] | None = None
    count: Count | None = None


class CalledFunction(_Answer):
    """A part of a tool call; some servers send the arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallDelta(_Answer):
    """A part of the tool call with number `index`."""

    index: Count = 0
    function: CalledFunction = CalledFunction()


class Delta(_Answer):
    """A part of an assistant's message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallDelta] | None = None


class ReplyChoice(_Answer):
    """A part of a reply: a `delta` of a chat, or a `text` of a completion."""

    delta: Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class CachedTokens(_Answer):
    """The part of the prompt that the server had read before."""

    cached_tokens: Count | None = None


class TokenUsage(_Answer):
    """The counts at the end of a reply."""

    prompt_tokens: Count = 0
    completion_tokens: Count | None = 0
    prompt_tokens_details: CachedTokens | None = None


class Timings(_Answer):
    """The times of llama.cpp's server, in milliseconds, and its counts of tokens."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    cache_n: Count = 0


class PromptProgress(_Answer):
    """How much of the prompt llama.cpp's server has read, in tokens."""

    total: Count = 0
    cache: Count = 0
    processed: Count = 0


class StreamEvent(_Answer):
    """One event of a streamed reply. `content` and what follows belong to `/infill`."""

    model: str | None = None
    choices: list[ReplyChoice] | None = None
    usage: TokenUsage | None = None
    timings: Timings | None = None
    prompt_progress: PromptProgress | None = None
    content: str | None = None
    stop: bool | None = None
    stop_type: str = ""
    tokens_evaluated: Count = 0
    tokens_predicted: Count = 0
