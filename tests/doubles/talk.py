"""A front end that answers as it is told to: a chat driven line by line."""

from __future__ import annotations

from localagent.agent.turn import Answer
from localagent.core.events import Question, TurnFinished
from localagent.models.scripted import ScriptedModel
from localagent.ui.chat.chat import LiveChat
from localagent.ui.chat.interface import Item, Output, UIRequest


class Talk:
    """A chat under test, driven as a front end drives it."""

    def __init__(self, chat: LiveChat, model: ScriptedModel) -> None:
        self.chat = chat
        self.model = model
        self.handed: list[str | None] = []
        """What is handed back for the requests to come."""

    def enter(self, line: str, answer: Answer | None = None) -> list[Item]:
        """What comes of a line; every question gets `answer`, where there is one."""
        items: list[Item] = []
        for item in self.chat.submit(line):
            items.append(item)
            if isinstance(item, Question) and answer is not None:
                self.chat.answer(item.id, answer)
            if isinstance(item, UIRequest) and item.kind in ("edit", "pick") and self.handed:
                self.chat.resolve(item.id, self.handed.pop(0))
        return items

    def shown(self, line: str) -> Output:
        """The one thing that a line shows."""
        (item,) = self.enter(line)
        assert isinstance(item, Output), item
        return item


def outcomes(items: list[Item]) -> list[str]:
    """How the turns among them ended."""
    return [item.outcome for item in items if isinstance(item, TurnFinished)]


def of(items: list[Item], *kinds: type) -> list[Item]:
    """Those of some kinds."""
    return [item for item in items if isinstance(item, kinds)]
