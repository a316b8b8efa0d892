"""`localagent sessions`: what was recorded; to look through, go on from, name, delete, export."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, whole_number
from localagent.cli.output import confirmed, note, say, table
from localagent.core.errors import UsageError
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.history.sessions.catalog import SessionMatch

FORMATS = ("jsonl", "json", "markdown", "html")
OUTCOMES = (
    *("solved", "answered", "unverified", "unsolved", "refused"),
    *("failed", "limit", "interrupted", "error"),
)
_EPILOG = """\
examples:
  localagent sessions list
  localagent sessions list --all parser
  localagent sessions fork ab3d --turn 2
  localagent sessions rename ab3d "the parser's empty lines"
  localagent sessions export ab3d --format html -o session.html

ID is a session's id, or its beginning or end where that is enough. To go on
with one: localagent run --resume ID TASK
"""
_FORK = """\
Begin a session that has the turns of another one, up to turn N, and goes on by
itself. The files are not changed: localagent undo takes back what later turns
changed. What the taken-over turns changed can be undone while the session that
made the change is stored."""
_DELETE = """\
Delete sessions, after asking. What is deleted can no longer be resumed,
replayed or undone. A session that is in use is not deleted."""
_EXPORT = """\
Write a session to stdout or a file: its events (jsonl: one JSON object a line,
json: one document), or a page to read, with diffs and outputs folded away
(markdown, html). The HTML page loads nothing. A session holds what the model
was shown of your files; think before you pass it on."""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    text = "List, search, show, fork, rename, delete and export recorded sessions."
    parser = add_command(
        commands, "sessions", "recorded sessions", description=text, epilog=_EPILOG
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions)
    action = add_command(actions, "show", "draw a session again")
    _add_id(action)
    action.set_defaults(execute=show)
    action = add_command(actions, "fork", "go on from an earlier turn", description=_FORK)
    _add_id(action)
    action.add_argument(
        "--turn", metavar="N", type=whole_number(0), help="the last turn to keep (default: all)"
    )
    action.set_defaults(execute=fork)
    action = add_command(actions, "rename", "give a session another title")
    _add_id(action)
    action.add_argument("title", metavar="TITLE", help="one line")
    action.set_defaults(execute=rename)
    action = add_command(actions, "delete", "delete sessions", description=_DELETE)
    action.add_argument("ids", metavar="ID", nargs="+", help="a session's id, or enough of it")
    action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(execute=delete)
    _add_export(actions)


def _add_id(action: argparse.ArgumentParser) -> None:
    action.add_argument("id", metavar="ID", help="the session's id, or enough of it")


def _add_list(actions: Commands) -> None:
    listing = add_command(actions, "list", "the sessions of this workspace, newest first")
    listing.add_argument(
        "words", metavar="WORD", nargs="*", help="only those in which all these words occur"
    )
    listing.add_argument("--all", action="store_true", help="of every workspace")
    listing.add_argument(
        "--outcome", choices=OUTCOMES, metavar="NAME", default="", help=", ".join(OUTCOMES)
    )
    listing.add_argument(
        "--file", metavar="PATH", default="", help="only those that changed a file so named"
    )
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    add_directory(listing)
    listing.set_defaults(execute=list_sessions)


def _add_export(actions: Commands) -> None:
    action = add_command(actions, "export", "write a session to a file", description=_EXPORT)
    _add_id(action)
    action.add_argument("--format", choices=FORMATS, default="jsonl", help="default: %(default)s")
    action.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: stdout")
    action.add_argument("--force", action="store_true", help="write over a file that is there")
    action.set_defaults(execute=export)


def list_sessions(args: argparse.Namespace) -> int:
    """One line for each session: id, outcome, changed files, title or first task."""
    from localagent.history.sessions.catalog import find

    found = find(None if args.all else args.directory, args.words, args.outcome, args.file)
    if not found:
        kind = "such session" if args.words or args.outcome or args.file else "session"
        note(f"no {kind} is recorded" + ("" if args.all else " for this workspace (try --all)"))
    if args.json:
        for one in found:
            say(json.dumps(_described(one)))
        return 0
    rows = []
    for one in found:
        session = one.session
        files = f"{len(session.files)} changed" if session.files else ""
        outcome = session.outcome or ("unfinished" if session.turns else "empty")
        rows.append((session.session, outcome, files, _called(one, args.all)))
    table(rows)
    return 0


def _called(one: SessionMatch, every: bool) -> str:
    """What a session is called, where it comes from, and the line that was looked for."""
    session = one.session
    parts = [f"{session.workspace}:"] if every else []
    parts.append(one_line(session.title or session.prompt, 100))
    if session.parent is not None:
        parts.append(f"(fork of {session.parent.session}, turn {session.parent.turn})")
    if one.line and one.line not in (session.title, session.prompt):
        parts.append(f"… {one_line(one.line, 100)}")
    return " ".join(part for part in parts if part)


def _described(one: SessionMatch) -> dict[str, object]:
    session = one.session
    return {
        "session": session.session,
        "title": session.title,
        "prompt": session.prompt,
        "workspace": session.workspace,
        "started": session.started,
        "used": session.used,
        "turns": session.turns,
        "outcome": session.outcome,
        "files": list(session.files),
        "parent": session.parent and session.parent.session,
        "parent_turn": session.parent and session.parent.turn,
        "found": one.line,
    }


def show(args: argparse.Namespace) -> int:
    """Draw the recorded events."""
    from localagent.history.sessions import transcript
    from localagent.ui.view.render import Renderer
    from localagent.ui.view.screen import terminal_screen

    recorded = transcript.read(args.id)
    with terminal_screen(sys.stdout) as screen:
        screen.live_line = False
        renderer = Renderer(screen)
        for event in recorded.events:
            renderer.draw(event)
    if recorded.damaged:
        note(f"{recorded.damaged} lines of the transcript could not be read")
    return 0


def fork(args: argparse.Namespace) -> int:
    """Fork, and say how to go on."""
    from localagent.history.sessions.catalog import fork

    session = fork(args.id, args.turn)
    say(session)
    note(f'go on: localagent run --resume {session} "…"')
    return 0


def rename(args: argparse.Namespace) -> int:
    """Record another title."""
    from localagent.history.sessions import catalog

    say(catalog.rename(args.id, args.title))
    return 0


def delete(args: argparse.Namespace) -> int:
    """List what would go, ask, and delete it."""
    from localagent.history.sessions.catalog import delete as delete_session
    from localagent.history.sessions.catalog import forks_of
    from localagent.history.sessions.transcript import find_session, list_sessions
    from localagent.ui.view.format import count, size

    names = list(dict.fromkeys(find_session(name) for name in args.ids))
    known = {session.session: session for session in list_sessions()}
    for name in names:
        session = known[name]
        changed = f"; changed {count(len(session.files), 'file')}" if session.files else ""
        say(f"{name}  {one_line(session.title or session.prompt, 100)}{changed}")
        forks = [fork for fork in forks_of(name) if fork not in names]
        if forks and session.files:
            say(f"  its changes could then not be undone from its forks: {', '.join(forks)}")
    these = "this session" if len(names) == 1 else f"these {len(names)} sessions"
    if not confirmed(f"delete {these}?", args.yes, "deleted"):
        say("nothing was deleted")
        return 0
    freed = sum(delete_session(name).bytes for name in names)
    say(f"deleted {len(names)}, {size(freed)}")
    return 0


def export(args: argparse.Namespace) -> int:
    """Write the session in the format that was asked for."""
    from localagent.history.sessions import transcript
    from localagent.ui.export import export_session

    text = export_session(transcript.read(args.id), args.format)
    if args.output is None:
        # A file or a program gets every byte; a terminal nothing that it would act on.
        sys.stdout.write(clean(text) if sys.stdout.isatty() else text)
        return 0
    if args.output.exists() and not args.force:
        raise UsageError(f"{args.output} is there already", "--force writes over it")
    try:
        args.output.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"cannot write {args.output}: {error.strerror}") from None
    note(f"wrote {args.output}")
    return 0
