"""Slash commands for the front end; `/context` shows the model's window, `/cost` its use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.agent.limits import LOOP
from localagent.agent.repair.localize import paths_in_task
from localagent.context.builder import gather
from localagent.core.events import ModelReplied, TurnStarted
from localagent.history.sessions import transcript
from localagent.ui.chat.commands.command import SlashCommand, nothing_after
from localagent.ui.chat.interface import Item, PickerChoice
from localagent.ui.chat.output import Output
from localagent.ui.view.format import duration
from localagent.ui.view.theme import NAMES

if TYPE_CHECKING:
    from localagent.agent.window_usage import Window
    from localagent.ui.chat.chat import LiveChat

_INPUT_ROWS = (
    ("/command", "one of the commands above"),
    ("!command", "run in the sandbox; the model sees the output (not with !!)"),
    ("# text", "a rule for the model, added to your rules or the project's"),
    ("@file", "a file or definition of the project, anywhere in a message"),
    ("anything else", "a task or a question for the model"),
)


def _context(chat: LiveChat, question: str) -> Iterator[Item]:
    chat.finish_warm_up()
    if question:
        yield from _code_for(chat, question)
        return
    window = chat.session.window()
    title = "the last prompt of the model" if window.last else "the beginning of the next prompt"
    head = ("part", "tokens", "of window")
    yield Output("table", title=title, head=head, rows=_window_rows(window))
    if not window.exact:
        yield Output("note", "this backend does not count tokens: the parts are estimated")


def _window_rows(window: Window) -> tuple[tuple[str, ...], ...]:
    rows = [*window.parts, ("the prompt", window.prompt)]
    if window.last:
        rows.append(("last reply", window.reply))
    rows += [("room left", window.left), ("window", window.window)]
    return tuple((name, f"{n:,}", f"{100 * n / window.window:.1f}%") for name, n in rows)


def _code_for(chat: LiveChat, question: str) -> Iterator[Item]:
    """Show the code for a question, as `localagent context QUESTION` does."""
    services = chat.session.services
    services.index.refresh()
    budget = int(services.model.info.profile.window * LOOP.answer_share)
    named = paths_in_task(question, services.workspace, services.files())
    code = gather(question, services.workspace, services.index, services.model.count, budget, named)
    if not code.excerpts:
        yield Output("note", "no code matches the question")
        return
    rows = tuple((f"{tokens:,}", part, why) for tokens, part, why in code.rows())
    title = f"{code.tokens:,} of at most {budget:,} tokens"
    yield Output("table", title=title, head=("tokens", "code", "why"), rows=rows)


def _cost(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("cost", text)
    events = transcript.read(chat.session.id).events if chat.session.turns else ()
    replies = [event for event in events if isinstance(event, ModelReplied)]
    replies += chat.session.recorder.replies_aside
    kinds = [event.kind for event in events if isinstance(event, TurnStarted)]
    commands = sum(kind in ("command", "check") for kind in kinds)
    read = sum(reply.prompt_tokens - reply.reused_tokens for reply in replies)
    reused = sum(reply.reused_tokens for reply in replies)
    written = sum(reply.completion_tokens for reply in replies)
    # Replies of other streams are written during the reply of stream 0.
    alone = [reply for reply in replies if reply.stream == 0]
    seconds = sum(reply.prefill_seconds + reply.decode_seconds for reply in alone)
    rows = (
        ("turns", f"{len(kinds) - commands:,}"),
        *([("commands", f"{commands:,}, without the model")] if commands else []),
        ("tokens read", f"{read:,}, and {reused:,} reused"),
        ("tokens written", f"{written:,}"),
        ("model time", duration(seconds)),
        ("cost", "nothing: the models run locally"),
    )
    yield Output("table", rows=rows)


def _help(chat: LiveChat, text: str) -> Iterator[Item]:
    name = text.removeprefix("/")
    commands = [chat.command(name).info] if name else chat.commands()
    rows = [(f"/{c.name} {c.arguments}".rstrip(), c.help) for c in commands]
    yield Output("table", rows=tuple(rows if name else (*rows, *_INPUT_ROWS)))


def _theme(chat: LiveChat, text: str) -> Iterator[Item]:
    if not text:
        choices = [PickerChoice(name, name) for name in NAMES]
        yield from chat.request("pick", title="Theme", choices=choices)
        text = chat.response() or ""
    if text:
        yield from chat.request("theme", text)


def _keys(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("keys", text)
    yield from chat.request("keys")


def _quit(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("quit", text)
    yield from chat.request("quit")


CONTEXT = SlashCommand(
    "context", "[QUESTION]", "what fills the window, or the code that a question gets", _context
)
COST = SlashCommand("cost", "", "the tokens and the model time of this session", _cost)
HELP = SlashCommand("help", "[COMMAND]", "this list", _help)
THEME = SlashCommand("theme", "[NAME]", "pick the colors", _theme)
KEYS = SlashCommand("keys", "", "the key bindings", _keys)
QUIT = SlashCommand("quit", "", "leave; the session can be resumed", _quit)
