"""`localagent` without a command: an interactive session, drawn on a terminal or line by line."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localagent import __version__
from localagent.cli.options import (
    SESSION_SETTINGS,
    add_plain,
    add_session_options,
    refuse_home,
)
from localagent.cli.session_console import run_in_session
from localagent.core.errors import UsageError
from localagent.core.paths import sessions_dir

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localagent.core.events import Event
    from localagent.session.factory import RunOptions
    from localagent.ui.chat.interface import Chat
    from localagent.ui.tui.app import Preferences

_PREFIX = "chat_"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of an interactive session, with names that no option of a command uses."""
    group = parser.add_argument_group("interactive session (without a command)")
    group.add_argument(
        "-C",
        dest="chat_directory",
        metavar="DIR",
        type=Path,
        help="work in the folder DIR (default: here)",
    )
    group.add_argument(
        "-c",
        "--continue",
        dest="chat_continue",
        action="store_true",
        default=None,
        help="continue the last session here",
    )
    group.add_argument(
        "--resume",
        dest="chat_resume",
        metavar="ID",
        nargs="?",
        const="",
        help="continue a session; without ID: pick one",
    )
    group.add_argument(
        "--first",
        dest="chat_first",
        metavar="TASK",
        help='begin with TASK; localagent "TASK" does the same',
    )
    add_plain(group, _PREFIX)
    add_session_options(group, _PREFIX)


def refuse_options(args: argparse.Namespace) -> None:
    """Raise UsageError if an option of an interactive session stands before a command."""
    for name, value in vars(args).items():
        if name.startswith(_PREFIX) and value is not None:
            flag = name.removeprefix(_PREFIX)
            option = "-C DIR" if flag == "directory" else f"--{flag}"
            raise UsageError(
                f"{option} before a command is an option of interactive sessions only",
                f"put {option.split()[0]} after the command: localagent run {option} …",
            )


def execute(args: argparse.Namespace) -> int:
    """Run a session. If there is neither a terminal nor input, print the help instead."""
    folder = args.chat_directory or Path()
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "-C takes the folder to work in")
    refuse_home(folder)
    if args.chat_continue and args.chat_resume is not None:
        raise UsageError("--continue and --resume cannot be combined", "use only one of them")
    _find_session(args, folder)
    if args.chat_model and not args.chat_scripted:
        from localagent.models.catalog import lock

        lock.load().entry(args.chat_model)  # raises UsageError before anything is drawn
    from localagent.ui.view.screen import can_redraw

    if can_redraw() and not args.chat_plain:
        return _at_terminal(args, folder.resolve())
    from localagent.ui.view.line_mode import first_line, hold

    first = args.chat_first or first_line(sys.stdin)
    resumes = args.chat_continue or args.chat_resume is not None
    if not first and not sys.stdin.isatty() and resumes:
        raise UsageError(
            "there is no terminal and no input for the session",
            'localagent run --continue "…" continues the last session with a task',
        )
    if not first and not sys.stdin.isatty():
        sys.stdout.write(args.parser.format_help())
        sys.stdout.write('\nTo begin: localagent run "your task"\n')
        return 0
    plain = bool(args.chat_plain)
    return hold(
        lambda interactive: _open(args, folder, interactive=interactive),
        folder.resolve(),
        first,
        plain=plain,
    )


def _find_session(args: argparse.Namespace, folder: Path) -> None:
    """Find the session to resume before anything is drawn. Raises UsageError."""
    if args.chat_continue:
        args.chat_resume = latest_session(folder)
    elif args.chat_resume:
        from localagent.history.sessions.transcript import find_session

        args.chat_resume = find_session(args.chat_resume)
    elif args.chat_resume == "":
        latest_session(folder)  # there must be one to pick


def _at_terminal(args: argparse.Namespace, folder: Path) -> int:
    from localagent.ui.tui.terminal_guard import guarded

    with guarded(sys.stdin.fileno()):
        from localagent.ui.tui.app import Start, Tui

        first = "/resume" if args.chat_resume == "" else args.chat_first or ""
        start = Start(
            workspace=folder,
            version=__version__,
            prepare=_preferences,
            open_chat=lambda: _reopen(args, folder),
            first=first,
        )
        return Tui(start, term=os.environ.get("TERM", "xterm")).run()


def _preferences() -> Preferences:
    from localagent.config.settings import load
    from localagent.ui.tui.app import Preferences

    settings = load(None)
    return Preferences(
        settings.theme, settings.edit_mode, dict(settings.keys), settings.status_line
    )


def _reopen(args: argparse.Namespace, folder: Path) -> tuple[Chat, Iterable[Event]]:
    """Open the chat, and read the recorded events of a resumed session."""
    chat = _open(args, folder, interactive=True)
    if not args.chat_resume:
        return chat, ()
    from localagent.history.sessions.transcript import read

    return chat, read(chat.status().session).events


def _open(args: argparse.Namespace, folder: Path, *, interactive: bool) -> Chat:
    from localagent.project.project import Project
    from localagent.ui.chat.chat import open_chat

    project = Project.open(
        folder, {key: getattr(args, f"{_PREFIX}{key}") for key in SESSION_SETTINGS}
    )
    options = _options(args, interactive=interactive)
    chat = open_chat(project, options, command_line=partial(run_in_session, args.parser))
    args.transcript = sessions_dir() / chat.status().session
    return chat


def _options(args: argparse.Namespace, *, interactive: bool) -> RunOptions:
    from localagent.session.factory import RunOptions

    return RunOptions(
        resume=args.chat_resume or None,
        interactive=interactive,
        scripted=args.chat_scripted,
    )


def latest_session(root: Path) -> str:
    """Return the id of the workspace's newest session that is not in use. Raises UsageError."""
    from localagent.history.sessions.transcript import is_in_use, list_sessions

    for summary in list_sessions(root):
        if summary.turns and not is_in_use(summary.session):
            return summary.session
    raise UsageError("there is no session here to continue", "to begin a session: localagent")
