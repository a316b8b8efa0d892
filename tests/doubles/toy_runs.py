"""Requests to the worker's generator, and what it sends for one; for tests on the toy model."""

from collections.abc import Callable
from typing import Any

from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.generate import Generator

Chat = list[tuple[str, str]]


def run_of(chat: Chat | protocol.FillIn, **values: Any) -> protocol.Run:
    fill = chat if isinstance(chat, protocol.FillIn) else None
    messages = [] if isinstance(chat, protocol.FillIn) else chat
    fields: dict[str, Any] = {
        "max_tokens": 100,
        "stop": (),
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "seed": 0,
        "grammar": None,
        "reply_start": "",
        **values,
    }
    chats = tuple(
        protocol.ChatMessage.model_validate({"role": r, "content": c}) for r, c in messages
    )
    return protocol.Run(messages=chats, infill=fill, **fields)


def request(chat: Chat | protocol.FillIn, **values: Any) -> protocol.Generate:
    return protocol.Generate(id=1, runs=(run_of(chat, **values),))


class Run:
    """What one generation sent."""

    def __init__(
        self,
        generator: Generator,
        asked: protocol.Generate,
        cancelled: Callable[["Run", int], bool] = lambda run, place: False,
    ) -> None:
        self.sent: list[protocol.Reply] = []
        generator.run(asked, self.sent.append, lambda place: cancelled(self, place))
        self.ends = {r.run: r for r in self.sent if isinstance(r, protocol.Finished)}
        self.end = self.ends[0]

    @property
    def text(self) -> str:
        return self.text_of(0)

    def text_of(self, place: int) -> str:
        return "".join(r.text for r in self.sent if isinstance(r, protocol.Text) and r.run == place)

    @property
    def read(self) -> list[tuple[int, int]]:
        return [(r.done, r.total) for r in self.sent if isinstance(r, protocol.Reading)]
