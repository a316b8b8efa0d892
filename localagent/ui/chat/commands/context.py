"""`/context`: what fills the model's window, or what a question would put there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.agent.limits import LOOP
from localagent.agent.repair.localize import paths_in_task
from localagent.context.builder import gather
from localagent.ui.chat.commands.command import Command
from localagent.ui.chat.interface import Item, Output

if TYPE_CHECKING:
    from localagent.agent.window_usage import Window
    from localagent.ui.chat.chat import LiveChat


def _context(chat: LiveChat, question: str) -> Iterator[Item]:
    chat.finish_warming()
    if question:
        yield from _code_for(chat, question)
        return
    window = chat.session.window()
    title = "what the model was last shown" if window.last else "what the next prompt begins with"
    yield Output("table", title=title, head=("part", "tokens", "of window"), rows=_rows(window))
    if not window.exact:
        yield Output("note", "this backend does not show tokens: the parts are estimated")


def _rows(window: Window) -> tuple[tuple[str, ...], ...]:
    rows = [*window.parts, ("the prompt", window.prompt)]
    if window.last:
        rows.append(("last reply", window.reply))
    rows += [("room left", window.left), ("window", window.window)]
    return tuple((name, f"{n:,}", f"{100 * n / window.window:.1f}%") for name, n in rows)


def _code_for(chat: LiveChat, question: str) -> Iterator[Item]:
    """As `localagent context QUESTION`, with the session's own model and index."""
    services = chat.session.services
    services.index.refresh()
    budget = int(services.model.info.profile.window * LOOP.answer_share)
    named = paths_in_task(question, services.workspace, services.index.files())
    found = gather(
        question, services.workspace, services.index, services.model.count, budget, named
    )
    if not found.excerpts:
        yield Output("note", "nothing was found for it")
        return
    rows = tuple((f"{tokens:,}", what, why) for tokens, what, why in found.rows())
    head = ("tokens", "code", "why")
    title = f"{found.tokens:,} of at most {budget:,} tokens"
    yield Output("table", title=title, head=head, rows=rows)


CONTEXT = Command(
    "context", "[QUESTION]", "what fills the window, or the code that a question gets", _context
)
