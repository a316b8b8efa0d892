"""`localagent review`: what a diff makes worse, by the project's linters and by the model."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.model_audit import ModelAudit
from localagent.cli.options import add_command, add_directory, add_json, add_scripted
from localagent.cli.output import CliResult, new_file, note
from localagent.core.findings import LEVELS
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.core.findings import CodeFinding
    from localagent.project.project import Project
    from localagent.session.review import DiffReview

_DESCRIPTION = """\
Review a diff. The linters and type checkers that the project configures run on
both sides, in the sandbox; only new findings count. With --ask the model answers
questions about each hunk, too. Every finding is on a line that the diff adds."""
_EPILOG = """\
examples:
  localagent review                    what is not committed yet
  localagent review main...            this branch, since it left main
  localagent review HEAD~3..HEAD --fail-on warning
  localagent review main... --ask --sarif review.sarif

A small model hardly tells a mistake from a change: its findings have a low
confidence and the level warning, so the default --fail-on error leaves the
decision to the linters. Files that may hold secrets are left out.

exit codes: 0 nothing at or above --fail-on, 1 a finding at or above it
"""
_CHOICES = (*LEVELS, "never")


def register(commands: Commands) -> None:
    """Add the command review to the parser."""
    parser = add_command(
        *(commands, "review", "what a diff makes worse", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "range",
        metavar="RANGE",
        nargs="?",
        default="",
        help="A..B, A...B, or A for A to the work tree (default: HEAD to the work tree)",
    )
    parser.add_argument(
        "--ask", action="store_true", help="also ask the model about each hunk, half a minute each"
    )
    parser.add_argument(
        "--fail-on",
        metavar="LEVEL",
        choices=_CHOICES,
        default="error",
        help=f"level that fails: {', '.join(_CHOICES)} (default: error)",
    )
    parser.add_argument("--sarif", metavar="FILE", type=Path, help="write a SARIF 2.1.0 file")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    add_json(parser, "write one JSON object for each finding")
    add_directory(parser)
    add_scripted(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Review the range, and print the findings, the worst first."""
    from localagent.project.project import Project
    from localagent.session.review import DiffReview

    project = Project.open(args.directory, {"model": args.model, "project_files": "never"})
    review = DiffReview.open(project, args.range)
    findings = review.lint()
    if args.ask and review.hunks:
        findings += _ask(args, project, review)
    for text in review.warnings:
        note(text)
    findings.sort(key=lambda each: (LEVELS.index(each.level), each.path, each.line))
    fails = args.fail_on != "never" and any(
        LEVELS.index(each.level) <= LEVELS.index(args.fail_on) for each in findings
    )
    if args.sarif is not None:
        from localagent.ui.ci.documents import sarif

        new_file(args.sarif, sarif(findings, exit_code=int(fails)).encode())
    return _result(findings, len(review.hunks), int(fails))


def _ask(args: argparse.Namespace, project: Project, review: DiffReview) -> list[CodeFinding]:
    """The findings of the model."""
    from localagent.index.disk import DiskIndex
    from localagent.session.models import open_models

    models = open_models(project, args.scripted)
    index = DiskIndex(project.workspace)

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            note(f"hunk {done} of {total}")

    try:
        with ModelAudit(project, models, "main") as audit:
            return list(review.ask(models.role("main"), index, audit.record, progress))
    finally:
        for text in models.drain_warnings():
            note(text)
        models.close()
        index.close()


def _result(findings: list[CodeFinding], hunks: int, exit_code: int) -> CliResult:
    lines = [
        f"{each.path}:{each.line}: {each.level}: {each.message} ({each.rule}; "
        f"confidence {each.confidence})"
        for each in findings
    ]
    lines.append(f"{count(len(findings), 'finding')} in {count(hunks, 'hunk')}")
    data = [asdict(each) for each in findings]
    return CliResult([Output("text", "\n".join(lines))], data, exit_code, json_lines=True)
