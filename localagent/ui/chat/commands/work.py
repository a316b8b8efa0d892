"""Slash commands for changes, the model, the mode, the check and the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.core.events import MODES, Event, Mode
from localagent.models.catalog import manage
from localagent.models.catalog.sampling_cards import THOUGHT_TOKENS
from localagent.sandbox.base import network_access
from localagent.ui.chat.commands.command import SlashCommand, from_words, nothing_after
from localagent.ui.chat.interface import Completion, Item, Output, PickerChoice
from localagent.ui.view.format import size
from localagent.workspace.git.commit import commits_with

if TYPE_CHECKING:
    from localagent.history.checkpoints.undo import UndoResult
    from localagent.ui.chat.chat import LiveChat

FIX_CHECK = "/check fix gives it to the model"
"""The next step after a check that fails."""


def _undo(chat: LiveChat, turn: str) -> Iterator[Item]:
    results: list[UndoResult] = []

    def undone() -> Iterator[Event]:
        results.append((yield from chat.session.undo(turn or None)))

    yield from chat.follow(undone())
    if ids := commits_with(chat.session.services.workspace.root, results[0].reverted):
        yield Output(
            "note",
            f"{' and '.join(ids)} still {'has' if len(ids) == 1 else 'have'} this change: "
            f"/commit commits the undo, or use /redo and then git revert {' '.join(ids)}",
        )


def _redo(chat: LiveChat, turn: str) -> Iterator[Item]:
    yield from chat.follow(chat.session.undo(turn or None, again=True))


def _model(chat: LiveChat, name: str) -> Iterator[Item]:
    now = chat.status().model
    if not name:
        choices = _model_choices(chat, now)
        at = next((n for n, choice in enumerate(choices) if choice.value == now), 0)
        yield from chat.request("pick", title="Model", choices=choices, default=at)
        name = chat.response() or now
    if name == now:
        yield Output("note", f"the model is {now}")
        return
    chat.finish_warm_up()
    info = chat.session.switch(name)
    yield Output("note", f"the model is {info.id} from now on")


def _model_choices(chat: LiveChat, now: str) -> list[PickerChoice]:
    """The models of the session, each with its size and whether it is on this machine."""
    known = {row.entry.id: row for row in manage.list_models()}
    choices = []
    for name in chat.session.models.names():
        words = ["in use"] if name == now else []
        if row := known.get(name):
            words += [size(row.entry.all_bytes)] if row.entry.bytes else []
            words += ["not on this machine"] if row.state == "missing" else []
        choices.append(PickerChoice(name, name, ", ".join(words)))
    return choices


def _models(chat: LiveChat, text: str) -> Sequence[Completion]:
    return [Completion(name) for name in chat.session.models.names() if name.startswith(text)]


_MODE_WORDS: dict[Mode, str] = {
    "plan": "read only",
    "ask": "ask before changes and commands",
    "auto-edit": "change files without asking",
    "auto": "also run commands without asking, in the sandbox",
}


def _mode(chat: LiveChat, name: str) -> Iterator[Item]:
    if not name:
        choices = [PickerChoice(mode, mode, _MODE_WORDS[mode]) for mode in MODES]
        at = MODES.index(chat.mode)
        yield from chat.request("pick", title="Mode", choices=choices, default=at)
        name = chat.response() or chat.mode
    mode = next((mode for mode in MODES if mode == name), None)
    if mode is None:
        raise UsageError(f"unknown mode {name!r}", f"one of: {', '.join(MODES)}")
    chat.set_mode(mode)
    yield Output("note", f"the mode is {chat.mode}; Shift-Tab goes to the next")


def _status(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("status", text)
    status = chat.status()
    limits = network_access(status.ports) if status.confined else "each command needs a yes"
    used = f"{status.window_used:,} of {status.window:,} tokens"
    rows = (
        ("model", f"{status.model} ({status.where})"),
        ("mode", f"{status.mode}: {_MODE_WORDS[status.mode]}"),
        ("folder", status.workspace),
        ("branch", status.branch),
        ("sandbox", f"{status.sandbox}: {limits}"),
        ("context", f"{used}; /context shows its parts"),
        ("check", status.check or "has not run yet; /check runs it"),
        ("session", status.session),
    )
    yield Output("table", rows=tuple(row for row in rows if row[1]))


def _think(chat: LiveChat, text: str) -> Iterator[Item]:
    models = chat.session.models
    if text == "off":
        models.set_thinking(0)
    elif text in ("on", "plans"):
        tokens = models.info().profile.think or THOUGHT_TOKENS
        models.set_thinking(tokens, "plans" if text == "plans" else "all")
    elif text.isdecimal():
        models.set_thinking(int(text))
    elif text:
        raise UsageError(f"/think takes off, on, plans or a number of tokens, but got {text!r}")
    profile = models.info().profile
    what = "before plans" if profile.think_for == "plans" else "before plans, answers and steps"
    bound = f"up to {profile.think:,} tokens {what}" if profile.think else "off"
    yield Output("note", f"thinking: {bound}")


def _planner(chat: LiveChat, name: str) -> Iterator[Item]:
    session = chat.session
    if name:
        session.planner_for(name)  # raises UsageError for an unknown one
        session.planner = name
    yield Output("note", f"the planner is {chat.status().planner}")


def _check(chat: LiveChat, text: str) -> Iterator[Item]:
    fix = text == "fix"
    session = chat.session
    before = session.check
    if text and not fix:
        session.check = text
    yield from chat.follow(session.run_check(f"/check {text}".strip(), share=fix))
    if session.check != before:
        if chat.outcome in ("error", "refused"):
            session.check = before
        else:
            yield Output("note", f"the check is {text} until you leave the session")
    if chat.outcome != "unsolved" or chat.cancelled:
        return
    if fix:
        yield from chat.ask(chat.session.services.prompts.text("chat/fix-check"))
    else:
        yield Output("note", FIX_CHECK)


def _sandbox(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("sandbox", text)
    status = chat.status()
    if status.confined:
        limits = (
            f"{network_access(status.ports)}, writes in the workspace and a scratch folder only"
        )
    elif status.sandbox == "seccomp":
        limits = "no network, but all of your files; each command needs a yes"
    else:
        limits = "no limits; each command needs a yes"
    rows = (("kind", status.sandbox), ("commands", limits))
    yield Output("table", rows=rows)
    yield Output("note", "localagent doctor tests the kinds of sandboxes here")


def _best(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("best", text)
    yield from chat.follow(chat.session.apply_best("/best"))


UNDO = SlashCommand("undo", "[TURN]", "take back the changes of the last turn, or of TURN", _undo)
REDO = SlashCommand("redo", "[TURN]", "take back an undo", _redo)
BEST = SlashCommand("best", "", "apply the best change of a search that nothing passed", _best)
MODEL = SlashCommand("model", "[ID]", "pick a model, or switch to ID", _model, _models)
STATUS = SlashCommand("status", "", "model, mode, folder, sandbox, context and check", _status)
MODE = SlashCommand(
    "mode", "[MODE]", "what localagent does without asking", _mode, from_words(*MODES)
)
THINK = SlashCommand(
    "think",
    "[off|on|plans|N]",
    "let the model think before plans, answers and steps; N: at most N tokens",
    _think,
    from_words("off", "on", "plans"),
)
PLANNER = SlashCommand(
    "planner",
    "[NAME]",
    "how the next turns are planned: workflow (the harness) or react (the model, by tool calls)",
    _planner,
    from_words("workflow", "react"),
)
CHECK = SlashCommand(
    "check",
    "[fix|CMD]",
    "run the project's check; fix: let the model repair it; CMD: check with CMD until you leave",
    _check,
    from_words("fix"),
)
SANDBOX = SlashCommand("sandbox", "", "what commands can reach", _sandbox)
