"""Commands on what the session did, and on what does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.core.events import MODES
from localagent.sandbox.base import network_access
from localagent.ui.chat.commands.command import Command, from_words, nothing_after
from localagent.ui.chat.interface import Completion, Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat


def _undo(chat: LiveChat, which: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(which or None))


def _redo(chat: LiveChat, which: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(which or None, again=True))


def _model(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        chat.finish_warming()
        info = chat.session.switch(name)
        yield Output("note", f"the model is {info.id} from now on")
        return
    now = chat.status().model
    rows = tuple((each, "in use" if each == now else "") for each in chat.session.models.names())
    yield Output("table", rows=rows, title="/model ID goes on with another one")


def _models(chat: LiveChat, text: str) -> Sequence[Completion]:
    return [Completion(name) for name in chat.session.models.names() if name.startswith(text)]


def _mode(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        mode = next((mode for mode in MODES if mode == name), None)
        if mode is None:
            raise UsageError(f"there is no mode {name!r}", f"one of: {', '.join(MODES)}")
        chat.set_mode(mode)
    yield Output("note", f"the mode is {chat.mode}; Shift-Tab goes to the next")


def _check(chat: LiveChat, text: str) -> Iterator[Item]:
    if text not in ("", "fix"):
        raise UsageError(f"/check takes nothing, or fix, and there is {text!r}")
    yield from chat.follow(chat.session.run_check(f"/check {text}".strip(), share=bool(text)))
    if chat.outcome != "unsolved" or chat.cancelled:
        return
    if text:
        yield from chat.ask(chat.session.services.prompts.text("chat/fix-check"))
    else:
        yield Output("note", "/check fix hands it to the model; Ctrl-O shows all of the output")


def _sandbox(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("sandbox", text)
    status = chat.status()
    if status.confined:
        limits = (
            f"{network_access(status.ports)}, writes in the workspace and a scratch folder only"
        )
    else:
        limits = "nothing limits what commands can reach, so every one is asked about"
    rows = (("kind", status.sandbox), ("commands have", limits))
    yield Output("table", rows=rows)
    yield Output("note", "localagent doctor says which kinds work here, and tries them")


UNDO = Command("undo", "[TURN]", "take back what the last turn, or TURN, changed", _undo)
REDO = Command("redo", "[TURN]", "take back an undo", _redo)
MODEL = Command("model", "[ID]", "the models, or another one", _model, _models)
MODE = Command("mode", "[MODE]", "how much is done without asking", _mode, from_words(*MODES))
CHECK = Command(
    "check",
    "[fix]",
    "run the project's check; fix: have the model mend it",
    _check,
    from_words("fix"),
)
SANDBOX = Command("sandbox", "", "what commands can reach", _sandbox)
