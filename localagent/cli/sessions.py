"""`localagent sessions`, `undo`, `redo` and `replay`: recorded sessions and their changes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import (
    add_command,
    add_command_group,
    add_directory,
    add_json,
    add_number,
)
from localagent.cli.output import CliResult, fields, new_file, text_result
from localagent.core.errors import UsageError
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count, size
from localagent.ui.view.sanitize import one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.core.events import Event
    from localagent.history.checkpoints.undo import UndoResult
    from localagent.history.sessions.catalog import SessionMatch
    from localagent.history.sessions.replay import Difference
    from localagent.history.sessions.transcript import SessionSummary
    from localagent.session.recorders import WorkspaceUndo

FORMATS = ("jsonl", "json", "markdown", "html")
OUTCOMES = (
    *("solved", "answered", "unverified", "unsolved", "refused"),
    *("failed", "limit", "interrupted", "error"),
)
_TITLE_CHARS = 100
_PATH_CHARS = 1000
_ID = "the session's id, or its beginning or end"
_EPILOG = """\
examples:
  localagent sessions list
  localagent sessions list --all parser
  localagent sessions fork ab3d --turn 2
  localagent sessions rename ab3d "the parser's empty lines"
  localagent sessions export ab3d --format html -o session.html

ID is a session's id, or a beginning or end that only one id has. To continue a
session: localagent run --resume ID TASK
"""
_FORK = """\
Begin a session with the turns of another session, up to turn N. Files stay as
they are: localagent undo takes back the changes of later turns. Changes of the
copied turns can be undone while the session that made them is stored."""
_DELETE = """\
Delete sessions, after asking. A deleted session can no longer be resumed,
replayed or undone. A session that is in use is not deleted."""
_EXPORT = """\
Write a session to stdout or a file: its events (jsonl: one JSON object a line,
json: one document), or a page to read, with folded diffs and outputs
(markdown, html). The HTML page loads nothing. A session holds what the model
saw of your files; think before you pass it on."""
_UNDO = """\
Restore every file that a turn changed: its content, mode and place, also after
changes by a command. Git's index, branches and stash stay as they are."""
_UNDO_EXAMPLES = """\
examples:
  localagent undo                       the last turn here that changed files
  localagent undo 2                     turn 2 of the newest session here
  localagent undo 20261122-1708-ab3d:1  turn 1 of that session

A file that was changed since is not overwritten: then nothing is undone,
unless --force is given.
"""
_REDO = "Take back an undo: give every file the content that the turn had given it."
_REPLAY = """\
Run a recorded session again: the model's replies come from the record, tools
and checks run for real. Reports the first observation that differs. The
workspace must be as it was before the session, and changes as it did then;
give a copy of it with -C."""
_REPLAY_CODES = """\
exit codes: 0 nothing differs, 1 something does
"""


def register(commands: Commands) -> None:
    """Add the commands sessions, undo, redo and replay to the parser."""
    _add_undo(
        add_command(
            *(commands, "undo", "take back what a turn changed", undo),
            description=_UNDO,
            epilog=_UNDO_EXAMPLES,
        )
    )
    _add_undo(add_command(commands, "redo", "take back an undo", redo, description=_REDO))
    actions = add_command_group(
        commands,
        "sessions",
        "recorded sessions",
        description="List, search, show, fork, rename, delete and export recorded sessions.",
        epilog=_EPILOG,
    )
    _add_list(actions)
    _add_id(add_command(actions, "show", "draw a session again", show))
    action = add_command(actions, "fork", "continue from an earlier turn", fork, description=_FORK)
    _add_id(action)
    add_number(action, "--turn", 0, "the last turn to keep (default: all)")
    action = add_command(actions, "rename", "give a session another title", rename)
    _add_id(action)
    action.add_argument("title", metavar="TITLE", help="one line")
    action = add_command(actions, "delete", "delete sessions", delete, description=_DELETE)
    action.add_argument("ids", metavar="ID", nargs="+", help=_ID)
    action.add_argument("--yes", action="store_true", help="do not ask")
    _add_export(actions)
    action = add_command(
        *(commands, "replay", "run a recorded session again", replay_session),
        description=_REPLAY,
        epilog=_REPLAY_CODES,
    )
    _add_id(action)
    add_directory(action)


def _add_undo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "turn", metavar="TURN", nargs="?", help="TURN, SESSION or SESSION:TURN (default: the last)"
    )
    parser.add_argument("--force", action="store_true", help="also overwrite later changes")
    add_directory(parser)


def _add_id(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", metavar="ID", help=_ID)


def _add_list(actions: Commands) -> None:
    listing = add_command(
        actions, "list", "the sessions of this workspace, newest first", list_sessions
    )
    listing.add_argument(
        "words", metavar="WORD", nargs="*", help="only sessions that hold all these words"
    )
    listing.add_argument("--all", action="store_true", help="of every workspace")
    listing.add_argument(
        "--outcome", choices=OUTCOMES, metavar="NAME", default="", help=", ".join(OUTCOMES)
    )
    listing.add_argument(
        "--file",
        metavar="PATH",
        default="",
        help="only sessions that changed a file whose path has PATH in it",
    )
    add_json(listing, "one JSON object a line")
    add_directory(listing)


def _add_export(actions: Commands) -> None:
    action = add_command(
        actions, "export", "write a session to a file", export, description=_EXPORT
    )
    _add_id(action)
    action.add_argument("--format", choices=FORMATS, default="jsonl", help="default: %(default)s")
    action.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: stdout")
    action.add_argument("--force", action="store_true", help="overwrite an existing file")


def list_sessions(args: argparse.Namespace) -> CliResult:
    """List sessions, one row each: id, outcome, changed files, and title or first task."""
    from localagent.history.sessions.catalog import find

    matches = find(None if args.all else args.directory, args.words, args.outcome, args.file)
    notes = []
    if not matches:
        kind = "such session" if args.words or args.outcome or args.file else "session"
        scope = "" if args.all else " for this workspace (try --all)"
        notes.append(Output("note", f"no {kind} is recorded{scope}"))
    rows = []
    for match in matches:
        session = match.session
        files = f"{len(session.files)} changed" if session.files else ""
        title = _title(match, with_folder=args.all)
        rows.append((session.session, _outcome(session), files, title))
    data = [_as_json(match) for match in matches]
    return CliResult([*notes, Output("table", rows=tuple(rows))], data, json_lines=True)


def _outcome(session: SessionSummary) -> str:
    """Describe how a session's turns ended: "solved", or "1 solved, 2 unsolved"."""
    if not session.outcome:
        return "unfinished" if session.turns else "empty"
    numbers = Counter(session.outcomes)
    if not numbers:
        return session.outcome  # commands only
    if len(numbers) == 1:
        return next(iter(numbers))
    return ", ".join(f"{number} {outcome}" for outcome, number in numbers.items())


def _title(match: SessionMatch, *, with_folder: bool) -> str:
    """Describe a session: its folder, title, origin, and the line that matches the query."""
    session = match.session
    parts = [f"{session.workspace}:"] if with_folder else []
    parts.append(one_line(session.title or session.prompt, _TITLE_CHARS))
    if session.parent is not None:
        parts.append(f"(fork of {session.parent.session}, turn {session.parent.turn})")
    if match.line and match.line not in (session.title, session.prompt):
        parts.append(f"… {one_line(match.line, _TITLE_CHARS)}")
    return " ".join(part for part in parts if part)


def _as_json(match: SessionMatch) -> dict[str, object]:
    session = match.session
    return {
        **fields(session, "session", "title", "prompt", "workspace", "started", "used"),
        **fields(session, "turns", "outcome", "outcomes", "files"),
        "parent": session.parent and session.parent.session,
        "parent_turn": session.parent and session.parent.turn,
        "found": match.line,
    }


def show(args: argparse.Namespace) -> CliResult:
    """Draw the recorded events of a session."""
    from localagent.history.sessions import transcript

    recorded = transcript.read(args.id)
    args.console.draw(recorded.events, live=False)
    if not recorded.damaged:
        return CliResult()
    return CliResult(
        [Output("note", f"{recorded.damaged} lines of the transcript could not be read")]
    )


def fork(args: argparse.Namespace) -> CliResult:
    """Fork a session, and show the command that continues the fork."""
    from localagent.history.sessions.catalog import fork as fork_session

    session = fork_session(args.id, args.turn)
    hint = f'to continue: localagent run --resume {session} "…"'
    return CliResult([Output("text", session), Output("note", hint)])


def rename(args: argparse.Namespace) -> CliResult:
    """Record another title for a session."""
    from localagent.history.sessions import catalog

    return text_result(catalog.rename(args.id, args.title))


def delete(args: argparse.Namespace) -> CliResult:
    """List the sessions to delete, ask the user, and delete them."""
    from localagent.history.sessions.catalog import delete as delete_session
    from localagent.history.sessions.catalog import forks_of
    from localagent.history.sessions.transcript import find_session, list_sessions

    names = list(dict.fromkeys(find_session(name) for name in args.ids))
    known = {session.session: session for session in list_sessions()}
    for name in names:
        session = known[name]
        changed = f"; changed {count(len(session.files), 'file')}" if session.files else ""
        title = one_line(session.title or session.prompt, _TITLE_CHARS)
        args.console.show(Output("text", f"{name}  {title}{changed}"))
        forks = [fork for fork in forks_of(name) if fork not in names]
        if forks and session.files:
            text = f"  its forks could then no longer undo its changes: {', '.join(forks)}"
            args.console.show(Output("text", text))
    these = "this session" if len(names) == 1 else f"these {len(names)} sessions"
    if not args.console.confirm(f"delete {these}?", yes=args.yes, action="deleted"):
        return text_result("nothing was deleted")
    freed = sum(delete_session(name).bytes for name in names)
    return text_result(f"deleted {len(names)}, {size(freed)}")


def export(args: argparse.Namespace) -> CliResult:
    """Write a session to a file or stdout, in the format of --format."""
    from localagent.history.sessions import transcript
    from localagent.ui.export import export_session

    text = export_session(transcript.read(args.id), args.format)
    data = text.encode("utf-8", "backslashreplace")
    if args.output is None:
        args.console.export(data)
        return CliResult()
    if args.output.exists() and not args.force:
        raise UsageError(f"{args.output} exists already", "--force overwrites it")
    new_file(args.output, data, overwrite=args.force)
    return CliResult([Output("note", f"wrote {args.output}")])


def undo(args: argparse.Namespace) -> CliResult:
    """Undo a turn, and list the restored files."""
    from localagent.workspace.git.commit import commits_with

    undone = _workspace_undo(args.directory).undo(args.turn, args.force)
    ids = commits_with(args.directory.resolve(), undone.reverted)
    hint = f"git still has this change: localagent redo, then git revert {' '.join(ids)}"
    return _undone("undid", undone, *([hint] if ids else []))


def redo(args: argparse.Namespace) -> CliResult:
    """Redo an undone turn, and list the files that it changed again."""
    return _undone("redid", _workspace_undo(args.directory).redo(args.turn, args.force))


def _workspace_undo(directory: Path) -> WorkspaceUndo:
    from localagent.project.project import Project
    from localagent.session.recorders import WorkspaceUndo

    return WorkspaceUndo(Project.open(directory))


def _undone(verb: str, undone: UndoResult, *hints: str) -> CliResult:
    lines = [f"{verb} turn {undone.turn} of session {undone.session}:"]
    for change in undone.changed:
        if change.after_sha256 is None:
            action = "removed"
        else:
            action = "restored" if change.before_sha256 else "brought back"
        lines.append(f"  {action} {one_line(change.path, _PATH_CHARS)}")
    for folder in undone.kept:
        lines.append(f"  kept {one_line(folder, _PATH_CHARS)}, which now holds other files")
    return text_result(*lines, *hints)


def replay_session(args: argparse.Namespace) -> CliResult:
    """Replay a session, draw its events, and report the first difference from the record."""
    from localagent.history.sessions.replay import Difference
    from localagent.project.project import Project
    from localagent.session.replay import replay

    differences: list[Difference] = []

    def events() -> Iterator[Event]:
        for item in replay(args.id, Project.open(args.directory)):
            if isinstance(item, Difference):
                differences.append(item)
            else:
                yield item

    args.console.draw(events())
    if differences:
        return text_result(str(differences[-1]), exit_code=1)
    return text_result("replayed: nothing differs from the record")
