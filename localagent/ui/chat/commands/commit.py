"""`/commit`: let the model of the role "small" write a message, and commit if the user agrees."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.agent.small_tasks import CommitMessage, StagedChanges, write_message
from localagent.core.errors import UsageError
from localagent.core.events import FileChanged, Step
from localagent.history.sessions import transcript
from localagent.redaction.secret_files import is_secret
from localagent.ui.chat.commands.command import SlashCommand, nothing_after
from localagent.ui.chat.interface import Item, Output, PickerChoice
from localagent.ui.view.format import count
from localagent.workspace.git import commit
from localagent.workspace.git.commit import CommitSelection

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_SECONDS = 120.0
_MAX_NAMES = 5
# Most lines of changes above the message. A small model's message may say something else.
_DIFF_LINES = 30
_CHOICES = (
    PickerChoice("commit", "commit", "with this message"),
    PickerChoice("edit", "edit the message", "in your editor, and see it again"),
    PickerChoice("cancel", "cancel", "commit nothing"),
)


def _commit(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("commit", text)
    session = chat.session
    root = session.services.workspace.root
    if session.lock is None:
        raise UsageError("another session uses this workspace, so this session cannot commit")
    what = commit.select(root, _changed_files(chat))
    chat.finish_warm_up()
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
    yield from message_warnings(written)
    message = yield from _ask_message(chat, written.text, what)
    if message:
        yield from _run_commit(chat, message, what)
    else:
        yield Output("note", "nothing was committed")


def _changed_files(chat: LiveChat) -> list[str]:
    """Return the files that the session changed, including files whose changes were undone."""
    events = transcript.read(chat.session.id).events if chat.session.turns else ()
    return chat.written + [event.path for event in events if isinstance(event, FileChanged)]


def message_warnings(written: CommitMessage) -> Iterator[Output]:
    """Yield warnings about a message, such as the files that the model did not see."""
    if not written.by_model:
        yield Output("note", "the model gave no usable message; this one only names the files")
    if written.clipped:
        yield Output("note", f"the model saw only a part of {_names(written.clipped)}")
    if written.secret:
        yield Output("note", f"hidden from the model, may hold secrets: {_names(written.secret)}")


def _names(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _MAX_NAMES} more" if len(paths) > _MAX_NAMES else ""
    return ", ".join(paths[:_MAX_NAMES]) + more


def _ask_message(chat: LiveChat, message: str, what: CommitSelection) -> Generator[Item, None, str]:
    """Ask the user about a message; return the accepted message, or ""."""
    files = count(len(what.files), "file")
    listed = "\n".join(f"  {file}" for file in what.files[:12])
    more = f"\n  and {len(what.files) - 12} more" if len(what.files) > 12 else ""
    title = f"{files} changed by this session (will be staged)" if what.add else f"{files}, staged"
    yield Output("text", f"{listed}{more}", title=title)
    if diff := _small_diff(chat.session.services.workspace.root, what):
        yield Output("diff", diff, title="changes")
    while True:
        yield Output("text", message, title="message of the model")
        yield from chat.request("pick", title=f"Commit {files}?", choices=_CHOICES)
        chosen = chat.response()
        if chosen != "edit":
            return message if chosen == "commit" else ""
        yield from chat.request("edit", message)
        edited = chat.response()
        if edited is not None and not edited.strip():
            return ""
        message = message if edited is None else edited.strip()


def _small_diff(root: Path, what: CommitSelection) -> str:
    """The changed lines, without files that may hold secrets; "" if there are too many to show."""
    files = [file for file in what.files if file.lines and not is_secret(file.path)]
    if sum(file.lines for file in files) >= _DIFF_LINES:
        return ""  # git would run once for each file
    diff = "\n".join(filter(None, (what.diff_of(root, file) for file in files)))
    return diff if diff.count("\n") < _DIFF_LINES else ""


def _run_commit(chat: LiveChat, message: str, what: CommitSelection) -> Iterator[Item]:
    root = chat.session.services.workspace.root
    before = commit.head(root)
    line = commit.command(message, what.add, hooks=chat.session.services.sandbox.confined)
    yield from chat.follow(chat.session.run_command(line, share=False))
    now = commit.head(root)
    if now == before:
        hint = "git's message stands above; !git status lists the staged files"
        yield Output("error", "git made no commit", hint=hint)
    else:
        yield Output("note", f"committed as {now}; !git show --stat shows it")


COMMIT = SlashCommand("commit", "", "commit the staged files, or this session's changes", _commit)
