"""`localagent index`: make, show and remove the index of a repository."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import say
from localagent.cli.progress import ProgressLine
from localagent.core.errors import WorkspaceError

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.index.disk import DiskIndex
    from localagent.index.store import Counts
    from localagent.workspace.workspace import Workspace


@contextlib.contextmanager
def opened(workspace: Workspace, patience: float | None = None) -> Iterator[DiskIndex]:
    """The index of a workspace; with what is there after `patience` seconds. Raises WorkspaceError
    where it cannot be made."""
    from localagent.index.disk import DiskIndex

    with (
        plain_errors(workspace),
        ProgressLine() as progress,
        DiskIndex(workspace, progress=progress.files, patience=patience) as index,
    ):
        index.files()  # so that it is brought up to date, and the progress line is gone
        progress.clear()
        yield index


@contextlib.contextmanager
def plain_errors(workspace: Workspace) -> Iterator[None]:
    """Raise WorkspaceError for what goes wrong with the file of the workspace's index."""
    import sqlite3

    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WorkspaceError(
            f"the index of {workspace.root} cannot be used: {error}",
            "make room on the disk, name another place with XDG_CACHE_HOME, or remove it with"
            " localagent index drop: it is made again",
        ) from error


_DESCRIPTION = """\
The index lets localagent search find code without reading every file. It lies
in your cache folder, holds which words stand where and no source text, and is
brought up to date by each search. It never holds what .gitignore,
.localagentignore or the rules on secrets exclude."""
_EPILOG = """\
examples:
  localagent index            what is in it (the same as index status)
  localagent index build      make it, or bring it up to date
  localagent index drop       remove it
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "index",
        "make, show or remove the index of a repository",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("status", "build", "drop"),
        default="status",
        help="what to do (default: status)",
    )
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="write one JSON object to stdout")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Carry out the action."""
    from localagent.index.store import drop, index_file, peek
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(args.directory)
    file = index_file(workspace.root)
    there = file.exists()
    if args.action == "drop":
        with plain_errors(workspace):
            drop(file)
        _tell(args, {"file": str(file), "dropped": there}, "removed" if there else "no index")
        return 0
    if args.action == "build":
        with opened(workspace) as index:
            counts = index.counts()
    elif there:
        with plain_errors(workspace):
            seen = peek(file)
        if seen is None:
            other = "of another version of localagent; the next build or search makes it anew"
            _tell(args, {"file": str(file), "files": 0}, other, str(file))
            return 0
        counts = seen
    else:
        none = "no index yet: localagent index build, or any localagent search, makes it"
        _tell(args, {"file": str(file), "files": 0}, none)
        return 0
    _tell(args, {"file": str(file), **asdict(counts)}, _shown(counts), str(file))
    return 0


def _shown(counts: Counts) -> str:
    from localagent.ui.view.format import count, size

    return (
        f"{count(counts.files, 'file')}, {count(counts.lines, 'line')}, "
        f"{count(counts.chunks, 'piece')}, {count(counts.symbols, 'definition')}: "
        f"{size(counts.bytes)}"
    )


def _tell(args: argparse.Namespace, data: dict[str, object], *lines: str) -> None:
    if args.json:
        say(json.dumps(data))
    else:
        for line in lines:
            say(line)
