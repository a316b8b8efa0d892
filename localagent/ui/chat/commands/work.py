"""Slash commands for changes, the model, the mode, the check and the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.core.events import MODES
from localagent.sandbox.base import network_access
from localagent.ui.chat.commands.command import SlashCommand, from_words, nothing_after
from localagent.ui.chat.interface import Completion, Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat


def _undo(chat: LiveChat, turn: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(turn or None))


def _redo(chat: LiveChat, turn: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(turn or None, again=True))


def _model(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        chat.finish_warm_up()
        info = chat.session.switch(name)
        yield Output("note", f"the model is {info.id} from now on")
        return
    now = chat.status().model
    rows = tuple((each, "in use" if each == now else "") for each in chat.session.models.names())
    yield Output("table", rows=rows, title="/model ID switches the model")


def _models(chat: LiveChat, text: str) -> Sequence[Completion]:
    return [Completion(name) for name in chat.session.models.names() if name.startswith(text)]


def _mode(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        mode = next((mode for mode in MODES if mode == name), None)
        if mode is None:
            raise UsageError(f"unknown mode {name!r}", f"one of: {', '.join(MODES)}")
        chat.set_mode(mode)
    yield Output("note", f"the mode is {chat.mode}; Shift-Tab goes to the next")


def _check(chat: LiveChat, text: str) -> Iterator[Item]:
    if text not in ("", "fix"):
        raise UsageError(f"/check takes no argument or the word fix, but got {text!r}")
    yield from chat.follow(chat.session.run_check(f"/check {text}".strip(), share=bool(text)))
    if chat.outcome != "unsolved" or chat.cancelled:
        return
    if text:
        yield from chat.ask(chat.session.services.prompts.text("chat/fix-check"))
    else:
        yield Output("note", "/check fix gives it to the model; Ctrl-O shows the whole output")


def _sandbox(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("sandbox", text)
    status = chat.status()
    if status.confined:
        limits = (
            f"{network_access(status.ports)}, writes in the workspace and a scratch folder only"
        )
    else:
        limits = "no limits; each command needs a yes"
    rows = (("kind", status.sandbox), ("commands", limits))
    yield Output("table", rows=rows)
    yield Output("note", "localagent doctor tests the kinds of sandboxes here")


UNDO = SlashCommand("undo", "[TURN]", "take back the changes of the last turn, or of TURN", _undo)
REDO = SlashCommand("redo", "[TURN]", "take back an undo", _redo)
MODEL = SlashCommand("model", "[ID]", "list the models, or switch to ID", _model, _models)
MODE = SlashCommand(
    "mode", "[MODE]", "what localagent does without asking", _mode, from_words(*MODES)
)
CHECK = SlashCommand(
    "check",
    "[fix]",
    "run the project's check; fix: let the model repair it",
    _check,
    from_words("fix"),
)
SANDBOX = SlashCommand("sandbox", "", "what commands can reach", _sandbox)
