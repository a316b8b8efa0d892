"""`localagent logs`: what happened in log files, and what came first."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.model_audit import ModelAudit
from localagent.cli.options import add_command, add_directory, add_json, add_number, add_scripted
from localagent.cli.output import CliResult, new_file
from localagent.core.errors import UsageError
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.agent.log_questions import LogAnswer
    from localagent.cli.options import Commands
    from localagent.logs.digest import LogDigest
    from localagent.logs.incident import Incident

_DESCRIPTION = """\
Read log files and show what stands out: when errors began, what came first,
bursts, rare lines, and the hosts and ids that go together. Every quoted line
stands in the logs. With a question, the model reads the digest and answers.
Without one, no model is used.

A folder stands for the files below it; "-" is standard input. Files may be
compressed by gzip, or be exports of journald (journalctl -o export or json)."""
_EPILOG = """\
The digest is kept in the cache folder. While the files do not change, the next
question does not read them again. Secrets are redacted.

examples:
  localagent logs /var/log/app/*.log
  localagent logs logs/ "what broke first, and when?"
  localagent logs web.log.gz --from 14:00 --to 14:05 --grep timeout
  journalctl -o export --since today | localagent logs -
  localagent logs logs/ --report incident.md

exit codes:
  0  something was found
  1  no line fits --from, --to and --grep
"""
_LINES = 50
_SECONDS = 180.0
"""Seconds for each reply: two cores read the digest in under a minute."""


def register(commands: Commands) -> None:
    """Add the command logs to the parser."""
    parser = add_command(
        *(commands, "logs", "find what broke first in log files", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "names",
        metavar="FILE",
        nargs="+",
        help='log files or folders; the last may be a question ("what broke first?")',
    )
    part = parser.add_argument_group("show lines instead")
    part.add_argument("--from", dest="start", metavar="TIME", default="", help="from this minute")
    part.add_argument("--to", dest="end", metavar="TIME", default="", help="to this minute")
    part.add_argument("--grep", metavar="TEXT", default="", help="lines with all of these words")
    add_number(part, "--limit", 1, f"lines to show (default: {_LINES})", _LINES)
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a Markdown page")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    add_json(parser)
    add_directory(parser)
    add_scripted(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Show the digest, an answer about it, or lines of the logs."""
    from localagent.logs.incident import find_incident
    from localagent.logs.report import as_json, as_markdown, as_text, sections

    names, question = split_question(args.names, args.directory)
    digest = _read(args, names)
    if args.start or args.end or args.grep:
        return _slice(args, digest)
    incident, answer = find_incident(digest), ""
    if question:
        answered = _ask(args, digest, incident, question)
        incident, answer = answered.incident, answered.text
    parts = list(sections(digest, incident, answer))
    if args.report is not None:
        new_file(args.report, as_markdown(parts).encode())
        return CliResult([Output("note", f"wrote {args.report}")])
    data = {**as_json(digest, incident), **({"answer": answer} if answer else {})}
    return CliResult([Output("text", as_text(parts))], data)


def split_question(names: list[str], root: Path) -> tuple[list[str], str]:
    """The files, and the question, which is the last argument if no file has its name."""
    last = names[-1]
    is_question = len(names) > 1 and " " in last.strip() and not (root / last).exists()
    return (names[:-1], last.strip()) if is_question else (names, "")


def _read(args: argparse.Namespace, names: list[str]) -> LogDigest:
    from localagent.logs.store import digest_of
    from localagent.models.catalog.download import Progress

    with args.console.progress() as progress:

        def report(done: int, total: int) -> None:
            if total:  # the size of standard input is unknown
                progress.report(Progress("reading", done, total))

        return digest_of(names, report, args.directory)


def _slice(args: argparse.Namespace, digest: LogDigest) -> CliResult:
    from localagent.logs.slices import parse_minute, read_slice

    first = parse_minute(args.start, digest, digest.first)
    last = parse_minute(args.end, digest, digest.last)
    if first > last:
        raise UsageError("--from is after --to", "swap them")
    places = read_slice(digest, first, last, args.grep.split(), args.limit + 1)
    lines = [f"{digest.where(place)}  {place.text}" for place in places[: args.limit]]
    if len(places) > args.limit:
        lines.append("… and more; use --limit, or a shorter time")
    data: list[object] = [
        {"place": digest.where(place), "text": place.text} for place in places[: args.limit]
    ]
    text = "\n".join(lines) or "no line fits"
    return CliResult([Output("text", text)], data, 0 if places else 1, json_lines=True)


def _ask(
    args: argparse.Namespace, digest: LogDigest, incident: Incident | None, question: str
) -> LogAnswer:
    """Let the model choose the first cause and answer the question."""
    from localagent.agent.log_questions import answer_question
    from localagent.project.project import Project, user_prompts
    from localagent.session.models import open_models

    project = Project.open(args.directory, {"model": args.model})
    models = open_models(project, args.scripted)
    try:
        with ModelAudit(project, models, "main") as audit:
            return answer_question(
                *(models.role("main"), user_prompts(), digest, incident, question),
                *(_SECONDS, audit.record),
            )
    finally:
        for text in models.drain_warnings():
            args.console.show(Output("note", text))
        models.close()
