"""Commands on what the session did, and on what does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.ui.chat.base import Completion, Item, Shown
from localagent.ui.chat.commands.base import Command

if TYPE_CHECKING:
    from localagent.ui.chat.live import LiveChat


def _undo(chat: LiveChat, which: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(which or None))


def _redo(chat: LiveChat, which: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(which or None, again=True))


def _model(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        chat.finish_warming()
        info = chat.session.switch(name)
        yield Shown("note", f"the model is {info.id} from now on")
        return
    now = chat.status().model
    rows = tuple((each, "in use" if each == now else "") for each in chat.session.models.names())
    yield Shown("table", rows=rows, title="/model ID goes on with another one")


def _models(chat: LiveChat, text: str) -> Sequence[Completion]:
    return [Completion(name) for name in chat.session.models.names() if name.startswith(text)]


UNDO = Command("undo", "[TURN]", "take back what the last turn, or TURN, changed", _undo)
REDO = Command("redo", "[TURN]", "take back an undo", _redo)
MODEL = Command("model", "[ID]", "the models, or another one", _model, _models)
