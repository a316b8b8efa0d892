"""A server that speaks OpenAI's API, as the programs of `software` do, and lies on demand.

It answers requests without a network: `install` puts it behind localagent's own transport. Its
tokens are words, runs of blanks and single signs. `fault` chooses what goes wrong.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from localagent.models.catalog import manage
from localagent.models.catalog.lock import ModelEntry
from localagent.models.chat_templates import inspection
from localagent.models.chat_templates.probe import probe
from localagent.models.openai.backend import OpenAiModel, server_address

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
URL = "http://127.0.0.1:8080"
Opener = Callable[..., OpenAiModel]
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """`text` in the pieces that count as tokens."""
    return _TOKEN.findall(text)


def settings(**more: Any) -> Any:
    policy = SimpleNamespace(allowed_hosts=more.pop("allowed", ()))
    values = {"server_keys": {}, "server_ca": None, "sandbox_ports": (), "policy": policy}
    return SimpleNamespace(**{**values, **more})


def add(server: OpenAiServer, **more: Any) -> ModelEntry:
    """Pin the server's model, and forget the requests for that."""
    entry = manage.add_from_server(server.model, server_address(URL, settings()), **more).entry
    server.seen.clear()
    server.ended = 0
    return entry


@dataclass
class OpenAiServer:
    """A server with one model; `answer` gives the reply to a body.

    `thought` comes before each reply, `calls` are tool calls (name, parts of the arguments).
    """

    model: str = "toy"
    software: str = "llama.cpp"
    window: int = 8192
    template: str = TEMPLATE
    size: int = 1_000_000
    answer: Callable[[dict[str, Any]], str] = lambda body: "all is well"
    thought: str = ""
    calls: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fault: str = ""
    seen: list[httpx.Request] = field(default_factory=list)
    ended: int = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Answer all requests of this process."""
        monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **_: httpx.MockTransport(self))
        # Without the process that keeps a template within limits.
        monkeypatch.setattr(
            inspection, "inspect", lambda source: asdict(probe(source, "2026-01-01"))
        )

    def bodies(self, path: str = "/v1/chat/completions") -> list[dict[str, Any]]:
        """What was sent to `path`."""
        return [json.loads(each.content) for each in self.seen if each.url.path == path]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        path, body = request.url.path, json.loads(request.content or b"{}")
        key = request.headers.get("authorization", "")
        if self.fault == "nobody":
            raise httpx.ConnectError("refused")
        if self.fault == "redirect":
            place = f"http://192.0.2.9{path}"
            return httpx.Response(307, headers={"location": place})
        if self.fault == "html":
            return httpx.Response(200, text="<html>a printer</html>")
        if self.fault in ("401", "500"):
            return _error(int(self.fault), f"your key {key} is wrong\x1b[31m\nfor ever")
        if self.fault == "loading":
            return _error(503, "Loading model")
        if path == "/v1/models":
            return httpx.Response(200, json={"object": "list", "data": [self._listed()]})
        if path == "/props" and self.software == "llama.cpp":
            return httpx.Response(200, json=self._props())
        if path in ("/tokenize", "/extras/tokenize/count"):
            text = body.get("content", body.get("prompt", body.get("input", "")))
            number = len(tokens(text)) + (self.fault == "other-tokens")
            return httpx.Response(200, json={"count": number})
        if path in ("/v1/chat/completions", "/infill", "/v1/completions"):
            return self._reply(path, body, key)
        return _error(404, "there is no such path")

    def _listed(self) -> dict[str, Any]:
        owners = {"llama.cpp": "llamacpp", "llama-cpp-python": "me", "vLLM": "vllm"}
        listed: dict[str, Any] = {"id": self.model, "object": "model"}
        listed["owned_by"] = owners.get(self.software, "someone")
        if self.software == "vLLM":
            listed |= {"max_model_len": self.window, "root": "Toy/Toy-30B-A3B"}
        if self.software == "llama.cpp":
            listed["meta"] = {"n_params": 7_000_000_000, "n_ctx_train": 32768, "size": self.size}
        return listed

    def _props(self) -> dict[str, Any]:
        return {
            "default_generation_settings": {"n_ctx": self.window},
            "total_slots": 2,
            "model_path": "/models/toy.gguf",
            "chat_template": self.template,
        }

    def _reply(self, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        prompt = len(tokens(json.dumps(body.get("messages", body.get("input_prefix", "")))))
        if self.fault == "no-grammar" and {"grammar", "structured_outputs"} & set(body):
            return _error(400, "grammars are not supported")
        if self.fault == "too-long":
            return _error(400, "This model's maximum context length is 1024 tokens", "x")
        if self.fault == "answer-500":
            return _error(500, f"the request with {key} failed")
        if not body.get("stream"):
            return httpx.Response(200, json={"content": "x", "stop": True})
        events = self._events(path, body, prompt, key)
        return httpx.Response(200, stream=_Stream(self, events, self.fault))

    def _events(self, path: str, body: dict[str, Any], prompt: int, key: str) -> Iterator[Any]:
        if self.fault == "error-event":
            yield {"error": {"message": f"your key {key} is spent", "code": 500}}
            return
        if body.get("return_progress") and self.software == "llama.cpp":
            progress = {"total": prompt, "cache": 0, "processed": prompt // 2}
            yield {"choices": [], "prompt_progress": progress}
        for delta in self._deltas(body):
            yield self._event(path, delta)
        if self.fault == "cut":
            return
        reason = "tool_calls" if self.calls and body.get("tools") else "stop"
        if path == "/infill":
            counts = {"tokens_evaluated": prompt, "tokens_predicted": 2}
            yield {"content": "", "stop": True, "stop_type": "eos", **counts}
            return
        yield {**self._event(path, {}), "choices": [{"delta": {}, "finish_reason": reason}]}
        read = 12 if self.fault == "truncation" else prompt
        if self.software != "llama-cpp-python" and self.fault != "no-counts":
            yield {"choices": [], "usage": {"prompt_tokens": read, "completion_tokens": 3}}

    def _deltas(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        variables = body.get("chat_template_kwargs", {})
        if self.thought and variables.get("enable_thinking") is not False:
            for part in tokens(self.thought):
                yield {"reasoning_content": part}
        if self.calls and body.get("tools"):
            for index, (name, arguments) in enumerate(self.calls):
                yield {"tool_calls": [{"index": index, "function": {"name": name}}]}
                for part in arguments:
                    yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            return
        text = tokens(self.answer(body))[: body.get("max_tokens", 99)]
        for part in itertools.cycle(text) if self.fault == "endless" else text:
            yield {"content": part}

    def _event(self, path: str, delta: dict[str, Any]) -> dict[str, Any]:
        if path == "/infill":
            return {"content": delta.get("content", ""), "stop": False}
        if path == "/v1/completions":
            return {"choices": [{"text": delta.get("content", "")}]}
        name = "another" if self.fault == "other-model" else self.model
        return {"model": name, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


class _Stream(httpx.AsyncByteStream):
    """The events as server-sent ones, in pieces that ignore the lines."""

    def __init__(self, server: OpenAiServer, events: Iterator[Any], fault: str) -> None:
        self._server, self._events, self._fault = server, events, fault

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": ping\n\n"
        while self._fault == "pings":
            await anyio.sleep(0.01)
            yield b": ping\n\n"
        for number, event in enumerate(self._events):
            if self._fault == "hang" and number == 2:
                await anyio.sleep(60)
            if self._fault == "broken" and number == 2:
                yield b'data: {"choices": 7}\n\n'
            data = b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"
            yield data[:9]
            yield data[9:]
        yield b"data: [DONE]\n\n"

    async def aclose(self) -> None:
        self._server.ended += 1


def _error(status: int, message: str, code: str = "") -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": message, "code": code or status}})
