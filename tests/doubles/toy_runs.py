"""Requests to the worker's generator, and what it sends for one; for tests on the toy model."""

from collections.abc import Callable
from typing import Any

from localagent.core.messages import Message
from localagent.models.base import Finish, Infill, RawText, Reading, Request, Text
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.generate import Generator

Chat = list[tuple[str, str]]


def run_of(chat: Chat | Infill | RawText, **values: Any) -> Request:
    messages = chat if isinstance(chat, Infill | RawText) else [Message(*one) for one in chat]  # type: ignore[arg-type]
    return Request(messages, **{"max_tokens": 100, "top_p": 1.0, "top_k": 0, **values})


def request(
    chat: Chat | Infill | RawText, *, drafts: bool = True, **values: Any
) -> protocol.Generate:
    return protocol.Generate(id=1, requests=(run_of(chat, **values),), drafts=drafts)


class Run:
    """What one generation sent."""

    def __init__(
        self,
        generator: Generator,
        asked: protocol.Generate,
        cancelled: Callable[["Run", int], bool] = lambda run, place: False,
    ) -> None:
        self.sent: list[protocol.ChunkReply] = []
        generator.run(asked, self._take, lambda place: cancelled(self, place))
        finishes = {r.run: r.chunk for r in self.sent if isinstance(r.chunk, Finish)}
        self.reasons = {run: finish.reason for run, finish in finishes.items()}
        self.ends = {run: finish.usage for run, finish in finishes.items()}
        self.reason, self.end = self.reasons[0], self.ends[0]

    def _take(self, reply: protocol.Reply) -> None:
        assert isinstance(reply, protocol.ChunkReply)
        self.sent.append(reply)

    @property
    def text(self) -> str:
        return self.text_of(0)

    def text_of(self, place: int) -> str:
        chunks = [r.chunk for r in self.sent if r.run == place]
        return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))

    @property
    def read(self) -> list[tuple[int, int]]:
        return [(r.chunk.done, r.chunk.total) for r in self.sent if isinstance(r.chunk, Reading)]
