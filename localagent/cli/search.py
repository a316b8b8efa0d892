"""`localagent search`: find the code that a question is about."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from localagent.cli.index import open_index
from localagent.cli.options import add_command, add_directory, add_json, add_number
from localagent.cli.output import CliResult
from localagent.core.errors import UsageError
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.index.lookup import Place
    from localagent.index.ranking import Ranked

_DESCRIPTION = """\
Find the files and functions that a question is about: a task, an error message
or traceback, names. No model is used. The index is updated first; if that takes
more than two seconds, the answer comes from the part that is ready, and says
so."""
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
                    function, method, macro, module: of definitions
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
_FILES = 10
_STDIN_BYTES = 1 << 20
_MAX_SECONDS = 2.0
"""Seconds to update the index; after that, the search uses the part that is ready."""


def register(commands: Commands) -> None:
    """Add the command search to the parser."""
    parser = add_command(
        *(commands, "search", "find the code that a question is about", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("query", metavar="QUERY", help='the question; "-" reads it from stdin')
    add_number(
        parser, "--limit", 1, "files to show (default: 10), or places of a form (default: 50)"
    )
    add_json(parser, "write one JSON object for each")
    add_directory(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Search the workspace, and list the results."""
    from localagent.index.lookup import PLACES, places
    from localagent.index.query import FieldQuery, Filter, parse_fields
    from localagent.project.project import Project

    text = args.query
    if text == "-":
        text = sys.stdin.buffer.read(_STDIN_BYTES).decode("utf-8", "replace")
    query = FieldQuery("", "", text, Filter()) if args.query == "-" else parse_fields(text)
    if not query.form and not query.words.strip():
        raise UsageError("the question is empty", 'localagent search "your question"')
    workspace = Project.open(args.directory).workspace
    with open_index(workspace, args.console, _MAX_SECONDS) as index:
        if query.form:
            limit = args.limit or PLACES
            uses = list(places(index, workspace, query, limit + 1))
            lines = list(_place_lines(uses[:limit]))
            if len(uses) > limit:
                lines.append("… and more; use --limit, or a filter (path:, lang:, kind:)")
            data: list[object] = [place.as_json() for place in uses[:limit]]
        else:
            ranked = index.ranked(query.words, args.limit or _FILES, query.filter)
            lines = list(_ranked_lines(ranked))
            data = [_ranked_json(file) for file in ranked]
        warning = index.warning()
    outputs = [Output("text", "\n".join(lines) if data else "nothing was found")]
    if warning:
        outputs.append(Output("note", f"{warning}: localagent index build completes it"))
    return CliResult(outputs, data, exit_code=0 if data else 1, json_lines=True)


def _place_lines(places: Iterable[Place]) -> Iterator[str]:
    for place in places:
        line = f":{place.line}" if place.line else ""
        yield f"{place.path}{line}  {place.text}".rstrip()
        if place.note:
            yield f"    {place.note}"


def _ranked_lines(files: Iterable[Ranked]) -> Iterator[str]:
    for file in files:
        reasons = f"  ({'; '.join(file.reasons)})" if file.reasons else ""
        yield f"{file.path}{reasons}"
        for passage in file.passages[:_PASSAGES]:
            name = f"  {passage.name}" if passage.name else ""
            yield f"  {passage.line}-{passage.end_line}{name}"


def _ranked_json(file: Ranked) -> dict[str, object]:
    passages = [
        {"line": p.line, "end_line": p.end_line, "name": p.name, "score": round(p.score, 3)}
        for p in file.passages[:_PASSAGES]
    ]
    return {
        "path": file.path,
        "score": round(file.score, 3),
        "reasons": file.reasons,
        "passages": passages,
    }
