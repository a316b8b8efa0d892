"""`/commit`: a message by the model of the role "small", and, after a yes, the commit."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from localagent.agent.small_tasks import CommitMessage, StagedChanges, write_message
from localagent.core.errors import UsageError
from localagent.core.events import FileChanged, Step
from localagent.history.sessions import transcript
from localagent.ui.chat.commands.command import Command, nothing_after
from localagent.ui.chat.interface import Choice, Item, Output
from localagent.ui.view.format import count
from localagent.workspace.git import commit

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_SECONDS = 120.0
_CHOICES = (
    Choice("commit", "commit", "with this message"),
    Choice("edit", "edit the message", "in your editor, and see it again"),
    Choice("cancel", "cancel", "commit nothing"),
)


def _commit(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("commit", text)
    session = chat.session
    root = session.services.workspace.root
    if session.lock is None:
        raise UsageError("another session holds this workspace, so nothing can be committed here")
    what = commit.select(root, _changed(chat))
    chat.finish_warming()
    yield from chat.follow(session.begin())
    yield Step("write", f"writing a message for {count(len(what.files), 'file')}")
    written = write_message(
        session.models.role("small"),
        session.services.prompts,
        StagedChanges(
            what.files,
            lambda file: what.diff_of(root, file),
            lambda file: what.versions_of(root, file),
        ),
        _SECONDS,
        session.recorder.aside,
    )
    if chat.cancelled:
        yield Output("note", "stopped; nothing was committed")
        return
    yield from _notes(written)
    message = yield from _agreed(chat, written.text, what)
    if message:
        yield from _made(chat, message, what)
    else:
        yield Output("note", "nothing was committed")


def _changed(chat: LiveChat) -> list[str]:
    """The files that the session changed, also those whose changes were taken back since."""
    if not chat.session.turns:
        return []
    events = transcript.read(chat.session.id).events
    return [event.path for event in events if isinstance(event, FileChanged)]


def _notes(written: CommitMessage) -> Iterator[Item]:
    if not written.by_model:
        yield Output("note", "the model gave no usable message; this one only names the files")
    if written.clipped:
        yield Output("note", f"the model saw only a part of {', '.join(written.clipped[:5])}")
    if written.secret:
        names = ", ".join(written.secret[:5])
        yield Output("note", f"not shown to the model, as they may hold secrets: {names}")


def _agreed(
    chat: LiveChat, message: str, what: commit.CommitSelection
) -> Generator[Item, None, str]:
    """The message that the user agrees to, "" where he does not."""
    files = count(len(what.files), "file")
    listed = "\n".join(f"  {file}" for file in what.files[:12])
    more = f"\n  and {len(what.files) - 12} more" if len(what.files) > 12 else ""
    staged = "to be staged, as this session changed them" if what.add else "staged"
    yield Output("text", f"{listed}{more}", title=f"{files}, {staged}")
    while True:
        yield Output("text", message, title="message")
        yield from chat.request("pick", title=f"Commit {files}?", choices=_CHOICES)
        chosen = chat.response()
        if chosen != "edit":
            return message if chosen == "commit" else ""
        yield from chat.request("edit", message)
        edited = chat.response()
        if edited is not None and not edited.strip():
            return ""
        message = message if edited is None else edited.strip()


def _made(chat: LiveChat, message: str, what: commit.CommitSelection) -> Iterator[Item]:
    root = chat.session.services.workspace.root
    before = commit.head(root)
    line = commit.command(message, what.add, hooks=chat.session.services.sandbox.confined)
    yield from chat.follow(chat.session.run_command(line, share=False))
    now = commit.head(root)
    if now == before:
        hint = "what git said stands above; !git status says what is staged"
        yield Output("error", "there is no commit", hint=hint)
    else:
        yield Output("note", f"committed as {now}; !git show --stat shows it")


COMMIT = Command("commit", "", "commit what is staged, or what this session changed", _commit)
