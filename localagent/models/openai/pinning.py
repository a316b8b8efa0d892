"""Whether a server may be asked: that its model is the one that models.lock pins.

OpenAI's API knows no digest of a model. So localagent pins everything that the server reports of
the model: its name, the hash of its chat template, its size, how it splits a text into tokens. If
the server names a file on this machine, its sha256 is pinned too.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from localagent.core.errors import (
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
)
from localagent.core.loopback import is_loopback
from localagent.core.messages import Message
from localagent.models.base import Request
from localagent.models.catalog import verification
from localagent.models.catalog.lock import ModelEntry
from localagent.models.gguf import text_sha256
from localagent.models.openai import protocol
from localagent.models.openai.client import OpenAiClient
from localagent.models.openai.protocol import (
    ListedModel,
    ModelList,
    OpenAiTarget,
    Props,
    StreamEvent,
    StudioList,
    StudioModel,
    TokenizeAnswer,
)
from localagent.models.openai.software import (
    LLAMA_CPP,
    LLAMA_CPP_PYTHON,
    LM_STUDIO,
    OTHER,
    SOFTWARE,
    VLLM,
)
from localagent.models.server.background import run_once
from localagent.models.server.errors import one_line
from localagent.models.server.silence import SilenceTimeout

ANSWER = 30.0
"""Seconds for an answer that needs no model."""

Fact = int | str

OF_REPLIES = ("answers_as", "counts")
"""The facts of a report that only a reply shows; they are compared with each reply."""

_PAUSE = 0.2  # seconds between two tries to reach a server that is being restarted
# A text that different tokenizers split into different numbers of tokens.
_SAMPLE = "def größe(x):\n\treturn 1234567 ** 0.5  # ≈ naïve 漢字 🙂\n        pass<|im_end|>"


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a server reports of one model.

    `facts` are pinned. `window` (tokens) and `slots` (replies at a time) are 0 if it does not say.
    `template` is the text of the chat template, or "".
    """

    name: str
    software: str
    facts: dict[str, Fact]
    window: int = 0
    trained_window: int = 0
    slots: int = 0
    template: str = field(default="", repr=False)
    file: str = ""

    @property
    def digest(self) -> str:
        """The sha256 of all facts."""
        text = json.dumps({"name": self.name, **self.facts}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


async def listed(client: OpenAiClient, seconds: float, comeback: float = 0.0) -> list[ListedModel]:
    """The models of a server; raises ModelLoadError if none answers for `comeback` seconds."""
    until = time.monotonic() + comeback
    while True:
        try:
            url = f"{client.server.url}/models"
            found = await client.ask(ModelList, url, SilenceTimeout(seconds, seconds))
        except ModelLoadError:
            if time.monotonic() >= until:
                raise
            await anyio.sleep(_PAUSE)
        else:
            return found.data


async def report(
    client: OpenAiClient, name: str, answer: float = ANSWER, comeback: float = 0.0
) -> ServerReport:
    """Ask the server about the model `name`; the model may be loaded for that.

    Raises ModelNotInstalled, and what `OpenAiClient.ask` raises.
    """
    models = await listed(client, answer, comeback)
    found = next((model for model in models if model.id == name), None)
    if found is None:
        others = ", ".join(model.id for model in models[:5]) or "none"
        raise ModelNotInstalled(
            f"{client.server} has no model {one_line(name)}",
            f"its models are: {one_line(others)}",
        )
    return await _facts(client, found, answer)


async def _facts(client: OpenAiClient, model: ListedModel, answer: float) -> ServerReport:
    owner = model.owned_by.lower()
    timeout = SilenceTimeout(answer, answer)
    props = studio = None
    if owner not in ("vllm", "me"):
        props = await client.find(Props, f"{client.root}/props", timeout)
    if props is not None and props.default_generation_settings is not None:
        return await _with_tokens(client, _llama_cpp(client, model, props), answer)
    if owner not in ("vllm", "me"):
        timeout = SilenceTimeout(answer, answer)
        known = await client.find(StudioList, f"{client.root}/api/v0/models", timeout)
        studio = next((m for m in (known.data if known else ()) if m.id == model.id), None)
    if studio is not None:
        return _lm_studio(studio)
    software = {"vllm": VLLM, "me": LLAMA_CPP_PYTHON}.get(owner, OTHER)
    file = model.root or model.id
    facts = _file_facts(client, file) if software != OTHER else {}
    if model.root:
        facts["root"] = model.root
    window = model.max_model_len or 0
    found = ServerReport(model.id, software, facts, window, window, 0, "", _local(client, file))
    return await _with_tokens(client, found, answer)


def _llama_cpp(client: OpenAiClient, model: ListedModel, props: Props) -> ServerReport:
    settings, meta = props.default_generation_settings, model.meta
    facts = _file_facts(client, props.model_path)
    if meta is not None:
        numbers = {"parameters": meta.n_params, "vocabulary": meta.n_vocab, "size": meta.size}
        facts |= {key: number for key, number in numbers.items() if number}
    if props.chat_template:
        facts["template_sha256"] = text_sha256(props.chat_template)
    return ServerReport(
        model.id,
        LLAMA_CPP,
        facts,
        settings.n_ctx if settings else 0,
        meta.n_ctx_train if meta else 0,
        props.total_slots,
        props.chat_template,
        _local(client, props.model_path),
    )


def _lm_studio(model: StudioModel) -> ServerReport:
    facts: dict[str, Fact] = {"architecture": model.arch, "quantization": model.quantization or ""}
    window = model.loaded_context_length or 0
    return ServerReport(model.id, LM_STUDIO, facts, window, model.max_context_length or 0)


def _local(client: OpenAiClient, path: str) -> str:
    """The path of a model's file that is on this machine, or ""."""
    here = is_loopback(urlsplit(client.server.url).hostname or "")
    return path if here and path.startswith("/") and Path(path).is_file() else ""


def _file_facts(client: OpenAiClient, path: str) -> dict[str, Fact]:
    """The path that a server names, and the hash of a file on this machine."""
    facts: dict[str, Fact] = {"path": path} if "/" in path else {}
    if file := _local(client, path):
        facts["sha256"] = verification.file_sha256(Path(file))
    return facts


async def _with_tokens(client: OpenAiClient, found: ServerReport, answer: float) -> ServerReport:
    """Add how the server splits a text into tokens."""
    counted = await count_tokens(client, found.name, found.software, _SAMPLE, answer)
    if counted is not None:
        found.facts["tokens"] = counted
    return found


async def count_tokens(
    client: OpenAiClient, name: str, software: str, text: str, answer: float = ANSWER
) -> int | None:
    """The number of tokens of a text; None from a server that does not count."""
    known = SOFTWARE[software]
    if not known.tokenize:
        return None
    body = {"model": name, known.text: text}
    timeout = SilenceTimeout(answer, answer)
    found = await client.find(TokenizeAnswer, client.root + known.tokenize, timeout, body)
    if found is None:
        return None
    return found.count if found.tokens is None else len(found.tokens)


def as_pinned(found: ServerReport, entry: ModelEntry) -> None:
    """Raise ModelFileError if the server's model differs from the entry of models.lock."""
    pinned = entry.report
    now = {"software": found.software, **found.facts}
    changed = [
        f"its {key} is {one_line(str(now.get(key, 'unknown')))}, not {value}"
        for key, value in pinned.items()
        if key not in OF_REPLIES and now.get(key) != value
    ]
    if changed:
        raise ModelFileError(
            f"{found.name} at {entry.server} is not what models.lock pins as {entry.id}: "
            + "; ".join(changed),
            f"if you changed it: localagent models remove {entry.id}, and add it again",
        )


def check_window(found: ServerReport, wanted: int) -> None:
    """Raise ModelLoadError if the server's window is smaller than `wanted` tokens."""
    if 0 < found.window < wanted:
        raise ModelLoadError(
            f"the server gives {found.name} a window of {found.window} tokens, and {wanted} were "
            "asked for",
            f"start it with a larger window, or set window = {found.window} in the model's profile "
            "in models.lock",
        )


async def fills_in(client: OpenAiClient, target: OpenAiTarget, answer: float = ANSWER) -> bool:
    """Whether llama.cpp's server can fill in the middle with its model."""
    if target.software.infill != "/infill":
        return False
    body = {"model": target.name, "input_prefix": "a", "input_suffix": "b", "n_predict": 1}
    timeout = SilenceTimeout(answer, answer)
    return await client.find(StreamEvent, f"{client.root}/infill", timeout, body) is not None


@dataclass(frozen=True, slots=True)
class Trial:
    """A first reply: the name under which the model `answers`, and what the server reports.

    `counts` says that it reports the tokens of a prompt, `thinks` that the model thought first.
    """

    answers: str
    counts: bool
    thinks: bool


async def trial(client: OpenAiClient, target: OpenAiTarget, silence: float) -> Trial:
    """Ask for a few tokens; the server may have to load the model first."""
    request = Request((Message("user", "What is 2 + 3?"),), max_tokens=8, think=8)
    path, body = protocol.body(target, request)
    events = [event async for event in client.stream(path, SilenceTimeout(silence, silence), body)]
    deltas = [choice.delta for event in events for choice in event.choices or () if choice.delta]
    return Trial(
        next((event.model for event in events if event.model), ""),
        any(event.usage and event.usage.prompt_tokens for event in events),
        any(delta.reasoning_content or delta.reasoning for delta in deltas),
    )


def verify(entry: ModelEntry, client: OpenAiClient) -> ServerReport:
    """Raise ModelFileError if the server's model is not the pinned one. Raises as `report` too."""
    found = run_once(client, lambda opened: report(opened, entry.name))
    as_pinned(found, entry)
    return found
