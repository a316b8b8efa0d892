"""`localagent search`: where the code is that a question is about."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from localagent.commands.options import add_command, add_directory, whole_number
from localagent.commands.output import say
from localagent.errors import UsageError

if TYPE_CHECKING:
    from localagent.commands.options import Commands
    from localagent.index.ranking import Ranked

_DESCRIPTION = """\
Find the files and functions that a question is about: a task, an error message
or traceback, names. No model is used. The index is brought up to date first."""
_EPILOG = """\
examples:
  localagent search "where are retries counted"
  localagent search "ValueError: unknown locale" --limit 3
  make test 2>&1 | tail -50 | localagent search -

exit codes:
  0  something was found
  1  nothing was
"""
_PASSAGES = 3


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "search",
        "find the code that a question is about",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("query", metavar="QUERY", help='what to look for; "-" reads it from stdin')
    parser.add_argument(
        "--limit", metavar="N", type=whole_number(1), default=10, help="files to show (default: 10)"
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object a file")
    add_directory(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Search, and show what was found."""
    from localagent.commands.indexing import opened
    from localagent.workspace import Workspace

    query = _read() if args.query == "-" else args.query
    if not query.strip():
        raise UsageError("the question is empty", 'localagent search "what to look for"')
    with opened(Workspace.open(args.directory)) as index:
        found = index.ranked(query, args.limit)
    for one in found:
        if args.json:
            say(json.dumps(_as_json(one)))
        else:
            _show(one)
    if not found and not args.json:
        say("nothing was found")
    return 0 if found else 1


def _read() -> str:
    return sys.stdin.buffer.read(1 << 20).decode("utf-8", "replace")


def _show(one: Ranked) -> None:
    reasons = f"  ({'; '.join(one.reasons)})" if one.reasons else ""
    say(f"{one.path}{reasons}")
    for passage in one.passages[:_PASSAGES]:
        name = f"  {passage.name}" if passage.name else ""
        say(f"  {passage.line}-{passage.end_line}{name}")


def _as_json(one: Ranked) -> dict[str, object]:
    passages = [
        {"line": p.line, "end_line": p.end_line, "name": p.name, "score": round(p.score, 3)}
        for p in one.passages[:_PASSAGES]
    ]
    return {
        "path": one.path,
        "score": round(one.score, 3),
        "reasons": one.reasons,
        "passages": passages,
    }
