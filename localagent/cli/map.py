"""`localagent map`: the outline of a repository, what is used most first."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, whole_number
from localagent.cli.output import say
from localagent.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localagent.cli.options import Commands
    from localagent.code.symbols import Symbol
    from localagent.index.overview import Mapped

_FILES = 20
_DEFINITIONS = 8
_DESCRIPTION = """\
Show what a repository defines: the files whose functions and classes are named
most elsewhere come first, tests last. Of a folder's files the most used
definitions are shown, of one file all of them. No model is used."""
_EPILOG = """\
examples:
  localagent map
  localagent map src/parser
  localagent map src/parser/lexer.py

exit codes:
  0  something is defined there
  1  nothing is
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "map",
        "show what a repository defines",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("path", metavar="PATH", nargs="?", default=".", help="a file or folder")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=whole_number(1),
        default=_FILES,
        help=f"files to show (default: {_FILES})",
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object a file")
    add_directory(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Show the outline."""
    from localagent.cli.index import opened
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(args.directory)
    below = workspace.relative(args.path)
    if not workspace.exists(below):
        raise UsageError(f"there is no {args.path!r} in {workspace.root}", "name a file or folder")
    with opened(workspace) as index:
        found = index.overview("" if below == "." else below)
    for one in found[: args.limit]:
        symbols = one.symbols if one.path == below else one.best(_DEFINITIONS)
        if args.json:
            say(json.dumps(_as_json(one, symbols)))
        else:
            _show(one, symbols)
    if not args.json:
        _say_the_rest(len(found), args.limit)
    return 0 if found else 1


def _show(one: Mapped, symbols: Sequence[Symbol]) -> None:
    say(one.path)
    for symbol in symbols:
        indent = "  " * symbol.name.count(".")
        say(f"{symbol.line:>6}  {indent}{symbol.signature or symbol.name}")
    hidden = len(one.symbols) - len(symbols)
    if hidden:
        say(f"        … {hidden} more")


def _say_the_rest(files: int, limit: int) -> None:
    if not files:
        say("nothing is defined there")
    elif files > limit:
        say(f"… {files - limit} more files: --limit, or name a folder")


def _as_json(one: Mapped, symbols: Sequence[Symbol]) -> dict[str, object]:
    return {
        "path": one.path,
        "score": round(one.score, 3),
        "definitions": [
            {
                "name": s.name,
                "kind": s.kind,
                "line": s.line,
                "end_line": s.end_line,
                "signature": s.signature,
            }
            for s in symbols
        ],
    }
