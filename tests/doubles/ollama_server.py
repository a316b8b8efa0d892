"""A server that speaks Ollama's protocol over a real socket, and fails on demand.

It keeps to the order of checks, the status codes and the fields of Ollama's own server
(`server/routes.go`, 0.12.6 to 0.32), but its model writes what it was told to, and its tokens are
words, runs of blanks and single signs. `Ollama.fault` chooses what goes wrong.
"""

from __future__ import annotations

import json
import re
import select
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIGEST = "5ee4f07cdb9beadbbb293e85803c569b01bd37ed059d2715faa7bb405f31caa6"
TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """`text` in the pieces that count as tokens."""
    return _TOKEN.findall(text)


@dataclass
class Pulled:
    """A model that the server has; `thinks` is what it says to itself before it answers."""

    name: str
    digest: str = DIGEST
    size: int = 986_061_892
    size_label: str = "1.5B"
    parameters: str = 'stop                           "<|im_end|>"'
    template: str = "{{ if .Suffix }}…{{ .Suffix }}{{ end }}{{ range .Messages }}…{{ end }}"
    capabilities: tuple[str, ...] = ("completion", "tools", "insert")
    trained: int = 32768
    remote_host: str = ""
    remote_only_in: str = ""
    thinks: str = ""


@dataclass
class Seen:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Ollama:
    """The server, running from `start` to `stop`; a context manager.

    `answer` gives the reply to a chat or a completion; `parallel` is how many it writes at once.
    `pace` is in seconds a token. `gone` is set when a client closes a connection in mid-request.
    """

    models: list[Pulled] = field(default_factory=lambda: [Pulled("toy:1b")])
    version: str = "0.32.15"
    answer: Callable[[dict[str, Any]], str] = lambda body: "all is well"
    fault: str = ""
    fault_from: int = 1
    parallel: int = 4
    pace: float = 0.0
    port: int = 0
    redirect_to: str = ""
    cloud_off: bool | None = None
    seen: list[Seen] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    writing: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0

    def __enter__(self) -> Ollama:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; after a `stop`, on the same port."""
        self.closing = threading.Event()
        self.room = threading.Semaphore(self.parallel)
        self.count = threading.Lock()
        self.now = self.generations = 0
        self.connections: set[Any] = set()
        self.loaded: dict[str, int] = {}
        handler = type("Bound", (Handler,), {"ollama": self})
        self.http = Server(("127.0.0.1", self.port), handler)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End as a killed process does: every connection is cut."""
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(2)
            except OSError:
                pass
        self.thread.join()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """What was sent to `path`, without the requests that only load the model."""
        return [s.body for s in self.seen if s.path == path and s.body.get("messages") != []]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(n) for n in re.findall(r"\d+", self.version)[:3])


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error."""


class Gone(Exception):
    """The client has closed the connection."""


class Handler(BaseHTTPRequestHandler):
    ollama: Ollama
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def setup(self) -> None:
        super().setup()
        self.ollama.connections.add(self.connection)

    def finish(self) -> None:
        self.ollama.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self._answer(json.loads(self.rfile.read(length)))

    def _answer(self, body: dict[str, Any]) -> None:
        server = self.ollama
        server.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if server.fault == "other-program":
            return self._send(200, b"<html><body>a printer</body></html>", "text/html")
        if server.fault == "redirect":
            return self._redirect()
        if server.fault == "silent":
            return self._wait()
        paths = {
            "/api/version": lambda: self._json({"version": server.version}),
            "/api/tags": lambda: self._json({"models": [_tag(m) for m in server.models]}),
            "/api/ps": self._ps,
            **({"/api/status": self._status} if server.cloud_off is not None else {}),
            "/api/show": lambda: self._show(body),
            "/api/chat": lambda: self._generation(body),
            "/api/generate": lambda: self._generation(body),
        }
        if self.path not in paths:
            return self._send(404, b"404 page not found", "text/plain")
        return paths[self.path]()

    # -- what needs no model

    def _status(self) -> None:
        self._json({"cloud": {"disabled": self.ollama.cloud_off, "source": "env"}})

    def _ps(self) -> None:
        loaded = []
        for name, window in self.ollama.loaded.items():
            told = {"name": name, "model": name, "digest": self._model(name).digest}
            if self.ollama.numbers >= (0, 10, 0):
                told["context_length"] = window
            loaded.append(told)
        self._json({"models": loaded})

    def _show(self, body: dict[str, Any]) -> None:
        model = self._model(body["model"])
        if model is None:
            return self._error(404, f"model '{body['model']}' not found")
        told: dict[str, Any] = {
            "parameters": model.parameters,
            "template": model.template,
            "license": "Apache License\nVersion 2.0",
            "details": _details(model),
            "model_info": {"toy.context_length": model.trained, "general.architecture": "toy"},
        }
        if self.ollama.numbers >= (0, 6, 4):
            told["capabilities"] = list(model.capabilities)
        if model.remote_host and model.remote_only_in != "tags":
            told |= {"remote_host": model.remote_host, "remote_model": model.name}
        return self._json(told)

    # -- what needs one

    def _generation(self, body: dict[str, Any]) -> None:
        server = self.ollama
        model = self._model(body["model"])
        if model is None:
            return self._error(404, f"model '{body['model']}' not found")
        if body.get("think") and "thinking" not in model.capabilities:
            return self._error(400, f'"{model.name}" does not support thinking')
        if body.get("suffix") and "insert" not in model.capabilities:
            return self._error(400, f'"{model.name}" does not support insert')
        window = min(body.get("options", {}).get("num_ctx", 4096), model.trained)
        if server.fault == "small-window":
            window = 1024
        if server.fault == "load-500":
            return self._error(500, "model requires more system memory (9.1 GiB) than is available")
        server.loaded = {model.name: window}
        if not (body.get("messages") or body.get("prompt")):
            return self._json({"model": model.name, "done": True, "done_reason": "load"})
        server.generations += 1
        fault = server.fault if server.generations >= server.fault_from else ""
        with server.room, self._counted():
            try:
                self._reply(model, body, window, fault)
            except (Gone, OSError):
                server.gone.set()
                self.close_connection = True
        return None

    def _reply(self, model: Pulled, body: dict[str, Any], window: int, fault: str) -> None:
        if fault in ("500", "runner-died", "busy"):
            status, said = {
                "500": (500, "something broke"),
                "runner-died": (500, "model runner has unexpectedly stopped"),
                "busy": (503, "server busy, please try again.  maximum pending requests exceeded"),
            }[fault]
            return self._error(status, said)
        if fault == "hang-prefill":
            return self._wait()
        prompt = self._prompt(body, window, fault == "silent-truncation")
        if prompt is None:
            return self._error(400, TOO_LONG)
        return self._stream(model, body, prompt, window, fault)

    def _prompt(self, body: dict[str, Any], window: int, lies: bool) -> list[str] | None:
        """The prompt's tokens, cut as Ollama cuts; None where it is refused instead."""
        if "messages" not in body:
            return tokens(f"<pre>{body['prompt']}<suf>{body['suffix']}<mid>")
        messages = list(body["messages"])
        refuses = self.ollama.numbers >= (0, 12, 6) and body.get("truncate") is False and not lies
        if len(_rendered(messages)) > window and refuses:
            return None
        while len(messages) > 1 and len(_rendered(messages)) > window:
            later = [n for n, message in enumerate(messages) if message["role"] != "system"]
            del messages[later[0] if len(later) > 1 else 0]
        return _rendered(messages)[-window:]

    def _stream(
        self, model: Pulled, body: dict[str, Any], prompt: list[str], window: int, fault: str
    ) -> None:
        chat = self.path == "/api/chat"
        reply, reason = self._limited(model, body, window - len(prompt), fault)
        self._begin(gzip=fault == "gzip")
        self.ollama.writing.set()
        for number, (kind, token) in enumerate(self._kinds(model, body, reply)):
            if number == 2 and self._spoil(fault):
                return None
            self._pause()
            self._line(_piece(model, chat, kind, token, fault))
        if fault == "no-end":
            return self._end()
        last = _piece(model, chat, "content", "", fault) | {
            "done": True,
            "done_reason": reason,
            "prompt_eval_count": len(prompt),
            "prompt_eval_duration": 5_000_000,
            "eval_count": len(reply) + (window if fault == "shifted" else 0),
            "eval_duration": 7_000_000,
        }
        if fault == "no-count":
            del last["prompt_eval_count"]
        self._line(last)
        return self._end()

    def _limited(
        self, model: Pulled, body: dict[str, Any], room: int, fault: str
    ) -> tuple[list[str], str]:
        """The reply's tokens, and why they end."""
        text = self.ollama.answer(body)
        wanted = body.get("format", {}).get("enum")
        if wanted and fault != "no-format":
            text = json.dumps(text if text in wanted else wanted[0])
        options = body["options"]
        for stop in options.get("stop", ()):
            text = text.partition(stop)[0]
        thought = tokens(model.thinks) if body.get("think") else []
        most = min(options["num_predict"], room)
        if fault == "babbles":
            return tokens(text) * 1000, "stop"
        all_tokens = thought + tokens(text)
        return all_tokens[:most], "length" if len(all_tokens) > most else "stop"

    def _kinds(
        self, model: Pulled, body: dict[str, Any], reply: list[str]
    ) -> Iterator[tuple[str, str]]:
        thought = len(tokens(model.thinks)) if body.get("think") else 0
        for number, token in enumerate(reply):
            yield "thinking" if number < thought else "content", token

    def _spoil(self, fault: str) -> bool:
        """Do what goes wrong in the middle of a reply; True where that ends it."""
        if fault == "hang-decode":
            self._wait()
        elif fault == "cut":
            self.connection.shutdown(2)
            self.close_connection = True
        elif fault == "error-line":
            self._line({"error": "an error was encountered while running the model"})
            self._end()
        elif fault == "error-other":
            self._line({"error": "\x1b[31mtemplate\nbroke"})
            self._end()
        elif fault in ("broken-json", "no-object", "wrong-type", "deep"):
            line = {
                "broken-json": b'{"message": {"content": "al',
                "no-object": b'["all is well"]',
                "wrong-type": b'{"message": {"content": 7}}',
                "deep": b"[" * 200_000,
            }[fault]
            self._chunk(line + b"\n")
            self._end()
        elif fault == "endless-line":
            for _ in range(20_000):
                self._chunk(b" " * 4096)
        else:
            return False
        return True

    # -- the wire

    def _model(self, name: str) -> Any:
        named = (
            m
            for m in self.ollama.models
            if m.name.removesuffix(":latest") == name or m.name == name
        )
        return next(named, None)

    def _counted(self) -> Any:
        return _Count(self.ollama)

    def _pause(self) -> None:
        if self.ollama.pace:
            self._wait(self.ollama.pace)
        elif self._closed():
            raise Gone

    def _wait(self, seconds: float = 60.0) -> None:
        """Do nothing for a while. Raises Gone as soon as the client or the server is."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.ollama.closing.is_set() or self._closed(min(left, 0.02)):
                self.ollama.gone.set()
                raise Gone

    def _closed(self, seconds: float = 0.0) -> bool:
        ready, _, _ = select.select([self.connection], [], [], seconds)
        return bool(ready) and not self.connection.recv(1, 2)  # MSG_PEEK

    def _redirect(self) -> None:
        self.send_response(307)
        self.send_header("location", f"{self.ollama.redirect_to}{self.path}")
        self.send_header("content-length", "0")
        self.end_headers()

    def _json(self, content: dict[str, Any], status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), "application/json; charset=utf-8")

    def _error(self, status: int, said: str) -> None:
        self._json({"error": said}, status)

    def _send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin(self, gzip: bool = False) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/x-ndjson")
        self.send_header("transfer-encoding", "chunked")
        if gzip:
            self.send_header("content-encoding", "gzip")
        self.end_headers()

    def _line(self, content: dict[str, Any]) -> None:
        self._chunk(json.dumps(content, ensure_ascii=False).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


class _Count:
    """How many replies are written at once."""

    def __init__(self, server: Ollama) -> None:
        self.server = server

    def __enter__(self) -> None:
        with self.server.count:
            self.server.now += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.now)

    def __exit__(self, *_: object) -> None:
        with self.server.count:
            self.server.now -= 1


def _tag(model: Pulled) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-11-01T10:00:00.5Z",
        "size": model.size,
        "digest": model.digest,
        "details": _details(model),
    }
    if model.remote_host and model.remote_only_in != "show":
        told |= {"remote_host": model.remote_host, "remote_model": model.name}
    return told


def _details(model: Pulled) -> dict[str, str]:
    return {"parameter_size": model.size_label, "quantization_level": "Q4_K_M"}


def _piece(model: Pulled, chat: bool, kind: str, token: str, fault: str) -> dict[str, Any]:
    piece: dict[str, Any] = {"model": model.name, "created_at": "2026-11-01T10:00:00Z"}
    if chat:
        piece["message"] = {"role": "assistant", "content": "", kind: token}
    else:
        piece |= {"response": token if kind == "content" else "", "done": False}
        piece |= {"thinking": token} if kind == "thinking" else {}
    if fault == "routed":
        piece["remote_host"] = "https://ollama.example:443"
    return piece | {"done": False}


def _rendered(messages: list[dict[str, str]]) -> list[str]:
    parts = [f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages]
    if messages and messages[-1]["role"] == "assistant":  # it is gone on with
        return tokens("".join(parts)[: -len("<|im_end|>\n")])
    return tokens("".join(parts) + "<|im_start|>assistant\n")
