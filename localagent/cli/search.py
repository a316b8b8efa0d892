"""`localagent search`: where the code is that a question is about."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, whole_number
from localagent.cli.output import say
from localagent.core.errors import UsageError

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.index.lookup import Place
    from localagent.index.ranking import Ranked

_DESCRIPTION = """\
Find the files and functions that a question is about: a task, an error message
or traceback, names. No model is used. The index is brought up to date first;
where that takes more than two seconds, the answer comes from what is in it so
far, and that is said."""
_EPILOG = """\
forms, one at a time:
  def:NAME          where it is defined (Stack.push names a method)
  ref:NAME          where it is used
  calls:NAME        who calls it, or makes an object of it
  imports:MODULE    who imports a module (a.b, a/b) or a file
  tests:PATH        the tests of a file
  text:"a text"     the lines that have it
  re:EXPRESSION     the lines that match a regular expression

filters, with a form, or with words:
  path:src/**       in these files; a folder stands for all that is below it
  lang:go           in this language
  kind:test         code, test or docs; or class, interface, struct, enum, type,
                    function, method, macro, module, of what is defined
  Several values (lang:js,ts) mean any of them; -path:docs leaves out.

examples:
  localagent search "where are retries counted"
  localagent search "ValueError: unknown locale" --limit 3
  localagent search "calls:parse_header path:src -kind:test"
  make test 2>&1 | tail -50 | localagent search -

exit codes:
  0  something was found
  1  nothing was
"""
_PASSAGES = 3
_PATIENCE = 2.0
"""Seconds until the answer comes from what is in the index so far."""


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
        "--limit",
        metavar="N",
        type=whole_number(1),
        help="files to show (default: 10), or places of a form (default: 50)",
    )
    parser.add_argument("--json", action="store_true", help="write one JSON object for each")
    add_directory(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Search, and show what was found."""
    from localagent.cli.index import opened
    from localagent.index.lookup import PLACES, places
    from localagent.index.query import Asked, Filter, read_asked
    from localagent.workspace.workspace import Workspace

    query = _read() if args.query == "-" else args.query
    asked = Asked("", "", query, Filter()) if args.query == "-" else read_asked(query)
    if not asked.form and not asked.words.strip():
        raise UsageError("the question is empty", 'localagent search "what to look for"')
    workspace = Workspace.open(args.directory)
    with opened(workspace, _PATIENCE) as index:
        if asked.form:
            limit = args.limit or PLACES
            found: Sequence[Place] = places(index, workspace, asked, limit + 1)
            _show_places(found[:limit], args.json)
            _say_more(len(found) > limit, args.json)
            count = len(found)
        else:
            ranked = index.ranked(asked.words, args.limit or 10, asked.filter)
            _show_ranked(ranked, args.json)
            count = len(ranked)
        notice = index.notice()
    if notice:
        sys.stderr.write(f"{notice}: localagent index build goes on to the end\n")
    if not count and not args.json:
        say("nothing was found")
    return 0 if count else 1


def _read() -> str:
    return sys.stdin.buffer.read(1 << 20).decode("utf-8", "replace")


def _show_places(found: Iterable[Place], as_json: bool) -> None:
    for one in found:
        if as_json:
            say(json.dumps(one.as_json()))
            continue
        line = f":{one.line}" if one.line else ""
        say(f"{one.path}{line}  {one.text}".rstrip())
        if one.note:
            say(f"    {one.note}")


def _say_more(more: bool, as_json: bool) -> None:
    if more and not as_json:
        say("… and more: --limit, or a filter (path:, lang:, kind:)")


def _show_ranked(found: Iterable[Ranked], as_json: bool) -> None:
    for one in found:
        if as_json:
            say(json.dumps(_as_json(one)))
        else:
            _show(one)


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
