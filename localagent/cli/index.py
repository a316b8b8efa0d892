"""`localagent index` and `localagent map`: the search index and the outline of a repository."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, add_json, add_number
from localagent.cli.output import CliResult, Console, fields, text_result
from localagent.core.errors import UsageError, WorkspaceError
from localagent.ui.view.format import count, size

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.code.symbols import Symbol
    from localagent.index.disk import DiskIndex
    from localagent.index.overview import FileOutline
    from localagent.index.store import Counts
    from localagent.workspace.workspace import Workspace

_INDEX = """\
The index lets localagent search find code without reading every file. It lies
in your cache folder and holds which words stand where, but no source text.
Each search updates it. It never holds what .gitignore, .localagentignore or
the rules on secrets exclude."""
_INDEX_EXAMPLES = """\
examples:
  localagent index            its contents (the same as index status)
  localagent index build      create or update it
  localagent index drop       remove it
"""
_MAP = """\
Show what a repository defines. Files whose functions and classes are used most
come first, tests last. For a folder, each file shows its most used
definitions; for one file, all of them. No model is used."""
_MAP_EXAMPLES = """\
examples:
  localagent map
  localagent map src/parser
  localagent map src/parser/lexer.py

exit codes:
  0  the path defines something
  1  it defines nothing
"""
_FILES = 20
_DEFINITIONS = 8


def register(commands: Commands) -> None:
    """Add the commands index and map to the parser."""
    parser = add_command(
        *(commands, "map", "show what a repository defines", show_map),
        description=_MAP,
        epilog=_MAP_EXAMPLES,
    )
    parser.add_argument("path", metavar="PATH", nargs="?", default=".", help="a file or folder")
    add_number(parser, "--limit", 1, f"files to show (default: {_FILES})", _FILES)
    add_json(parser, "write one JSON object for each file")
    add_directory(parser)
    parser = add_command(
        *(commands, "index", "create, show or remove the index of a repository", execute),
        description=_INDEX,
        epilog=_INDEX_EXAMPLES,
    )
    parser.add_argument(
        "action",
        nargs="?",
        choices=("status", "build", "drop"),
        default="status",
        help="what to do (default: status)",
    )
    add_directory(parser)
    add_json(parser)


@contextlib.contextmanager
def open_index(
    workspace: Workspace, console: Console, max_seconds: float | None = None
) -> Iterator[DiskIndex]:
    """Update and return the index of a workspace. After `max_seconds`, the index is partial.

    Raises WorkspaceError if the index cannot be created.
    """
    from localagent.index.disk import DiskIndex

    with (
        _index_errors(workspace),
        console.progress() as progress,
        DiskIndex(workspace, progress=progress.files, patience=max_seconds) as index,
    ):
        index.files()  # updates the index while the progress line is shown
        progress.clear()
        yield index


@contextlib.contextmanager
def _index_errors(workspace: Workspace) -> Iterator[None]:
    """Turn errors of the index file into WorkspaceError."""
    import sqlite3

    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise WorkspaceError(
            f"the index of {workspace.root} cannot be used: {error}",
            "free disk space, choose another folder with XDG_CACHE_HOME, or remove the index with"
            " localagent index drop (the next search creates it again)",
        ) from error


def execute(args: argparse.Namespace) -> CliResult:
    """Create, describe or remove the index."""
    from localagent.index.store import drop, index_file, peek
    from localagent.project.project import Project

    workspace = Project.open(args.directory).workspace
    file = index_file(workspace.root)
    exists = file.exists()
    if args.action == "drop":
        with _index_errors(workspace):
            drop(file)
        text = "removed" if exists else "no index"
        return text_result(text, data={"file": str(file), "dropped": exists})
    if args.action == "build":
        with open_index(workspace, args.console) as index:
            return _counts_result(index.counts(), str(file))
    empty = {"file": str(file), "files": 0}
    if not exists:
        text = "no index yet: localagent index build, or any localagent search, creates it"
        return text_result(text, data=empty)
    with _index_errors(workspace):
        counts = peek(file)
    if counts is None:
        text = "made by another version of localagent; the next build or search replaces it"
        return text_result(text, str(file), data=empty)
    return _counts_result(counts, str(file))


def _counts_result(counts: Counts, file: str) -> CliResult:
    text = (
        f"{count(counts.files, 'file')}, {count(counts.lines, 'line')}, "
        f"{count(counts.chunks, 'chunk')}, {count(counts.symbols, 'definition')}: "
        f"{size(counts.bytes)}"
    )
    return text_result(text, file, data={"file": file, **asdict(counts)})


def show_map(args: argparse.Namespace) -> CliResult:
    """Show the outline of a file or folder."""
    from localagent.project.project import Project

    workspace = Project.open(args.directory).workspace
    below = workspace.relative(args.path)
    if not workspace.exists(below):
        raise UsageError(f"there is no {args.path!r} in {workspace.root}", "name a file or folder")
    with open_index(workspace, args.console) as index:
        outlines = index.overview("" if below == "." else below)
    lines: list[str] = []
    data: list[object] = []
    for outline in outlines[: args.limit]:
        symbols = outline.symbols if outline.path == below else outline.best(_DEFINITIONS)
        lines += _outline_lines(outline, symbols)
        data.append(_outline_json(outline, symbols))
    if not outlines:
        lines.append("no definitions were found")
    elif len(outlines) > args.limit:
        more = len(outlines) - args.limit
        lines.append(f"… {more} more files; use --limit, or name a folder")
    return text_result(*lines, data=data, exit_code=0 if outlines else 1, json_lines=True)


def _outline_lines(outline: FileOutline, symbols: Sequence[Symbol]) -> Iterator[str]:
    yield outline.path
    for symbol in symbols:
        indent = "  " * symbol.name.count(".")
        yield f"{symbol.line:>6}  {indent}{symbol.signature or symbol.name}"
    if hidden := len(outline.symbols) - len(symbols):
        yield f"        … {hidden} more"


def _outline_json(outline: FileOutline, symbols: Sequence[Symbol]) -> dict[str, object]:
    return {
        "path": outline.path,
        "score": round(outline.score, 3),
        "definitions": [
            fields(symbol, "name", "kind", "line", "end_line", "signature") for symbol in symbols
        ],
    }
