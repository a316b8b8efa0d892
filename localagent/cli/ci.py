"""`localagent ci`: carry out one task in a CI job, with reports for the job's tools."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from localagent.cli.interrupt import Interrupts
from localagent.cli.options import add_command, add_directory
from localagent.cli.output import CliResult, JsonLines
from localagent.cli.run import add_run_options, follow, open_project, open_run, read_task
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.paths import sessions_dir

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.core.events import Event
    from localagent.session.session import Session
    from localagent.ui.ci.report import RunReport

_DESCRIPTION = """\
Carry out one task as localagent run does, in a CI job: a log with groups and
annotations, no colors, nobody to ask, and reports for the job's tools. Rules,
commands and plug-ins of the checkout are not used, whatever was agreed before."""
_EPILOG = """\
examples:
  localagent ci "fix the failing test" --check "pytest -q" --yes
  localagent ci "fix the failing test" --yes --patch fix.patch --junit junit.xml
  localagent ci "is the README true?" --mode plan --sarif localagent.sarif

Exit codes are those of localagent run: see localagent --help. Examples for
GitHub, GitLab and Jenkins: localagent docs ci.
"""
_DIALECTS = ("auto", "github", "gitlab", "plain")
_REPORTS = {
    "events": "write the events, one JSON object a line, as they happen",
    "junit": "write the result as JUnit XML",
    "sarif": "write the result and its places in the code as SARIF 2.1.0",
    "code_quality": "write places in the code as GitLab's code quality report",
    "summary": "add a summary in Markdown to FILE (default: $GITHUB_STEP_SUMMARY)",
    "patch": "write the change as a patch for git apply; an empty file if none",
}
# Variables in which CI services name the folder of the checkout.
_CHECKOUT = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR", "WORKSPACE")


def register(commands: Commands) -> None:
    """Add the command ci to the parser."""
    parser = add_command(
        *(commands, "ci", "carry out a task in a CI job", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(resume=None, latest=False)
    parser.add_argument(
        "task", metavar="TASK", nargs="*", help='the task, in plain words; "-" reads it from stdin'
    )
    for name, text in _REPORTS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, dest=name, metavar="FILE", type=Path, help=text)
    parser.add_argument(
        "--log",
        metavar="FORM",
        choices=_DIALECTS,
        default="auto",
        help=f"form of groups and annotations: {', '.join(_DIALECTS)} (default: auto)",
    )
    parser.add_argument("--color", action="store_true", help="write color codes into the log")
    add_run_options(parser)
    add_directory(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Carry out the task, write the reports, and return the exit code of the turn."""
    task = read_task(args)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if args.summary is None and summary:
        args.summary = Path(summary)
    _check_folders(args)
    with Interrupts() as interrupts, ExitStack() as stack:
        view = JobView(args, stack)
        session = None
        try:
            project = open_project(args, project_files="never")
            session = stack.enter_context(open_run(project, args, interactive=False))
            interrupts.cancel = session.cancel
            args.transcript = sessions_dir() / session.id
            code = follow(session, session.run(task), view, None, interrupts)
        except LocalAgentError as error:
            from localagent.core.events import Failed

            code = error.exit_code
            view.draw(Failed(type(error).__name__, error.message, error.hint))
            raise
        finally:
            view.finish(args, session)
    return CliResult(exit_code=code)


class JobView:
    """Draws the events of one turn into the job's log, and collects the facts of the reports."""

    def __init__(self, args: argparse.Namespace, stack: ExitStack) -> None:
        from localagent.ui.ci.job_log import job_log, service
        from localagent.ui.ci.report import RunReport
        from localagent.ui.view.render import Renderer
        from localagent.ui.view.screen import log_screen

        dialect = service(os.environ) if args.log == "auto" else args.log
        self.report: RunReport = RunReport()
        self._log = job_log(dialect, sys.stdout.write)
        self._draws = [Renderer(stack.enter_context(log_screen(sys.stdout, color=args.color))).draw]
        if args.events is not None:
            stream = stack.enter_context(_opened(args, args.events))
            self._draws.insert(0, JsonLines(stream).draw)
        self._open = False

    def draw(self, event: Event) -> None:
        """Draw one event. The work of the turn is a group; its result stands below."""
        from localagent.core.events import TurnFinished, TurnStarted

        self.report.record(event)
        if isinstance(event, TurnFinished):
            self._end_group()
        for draw in self._draws:
            draw(event)
        if isinstance(event, TurnStarted):
            self._log.begin("localagent at work")
            self._open = True
        sys.stdout.flush()

    def finish(self, args: argparse.Namespace, session: Session | None) -> None:
        """Write the annotations and the reports. Raises UsageError for an unwritable file."""
        from localagent.ui.ci import documents
        from localagent.ui.ci.summary_page import summary_page

        self._end_group()
        report = self.report
        root = session.project.root if session else args.directory.resolve()
        findings = report.findings(root, _prefix(root))
        self._log.annotate(findings)
        self._log.close()
        sys.stdout.flush()
        code = report.end.exit_code if report.end else 2
        _write_reports(
            args,
            {
                "patch": lambda: _patch(session),
                "junit": lambda: documents.junit(report),
                "sarif": lambda: documents.sarif(findings, exit_code=code),
                "code_quality": lambda: documents.code_quality(findings),
                "summary": lambda: summary_page(report),
            },
        )

    def _end_group(self) -> None:
        if self._open:
            self._log.end()
            self._open = False


def _patch(session: Session | None) -> str:
    """The change of the session's turn, as a patch."""
    from localagent.history.checkpoints.patch import turn_patch

    if session is None:
        return ""
    return turn_patch(session.project.root, sessions_dir() / session.id, session.turns)


def _prefix(root: Path) -> str:
    """The path from the job's checkout to the workspace, as a prefix of paths in it."""
    named = [Path(os.environ[name]) for name in _CHECKOUT if os.environ.get(name)]
    for folder in [*named, Path.cwd()]:
        with suppress(ValueError):
            inside = root.relative_to(folder.resolve()).as_posix()
            return "" if inside == "." else f"{inside}/"
    return ""


def _check_folders(args: argparse.Namespace) -> None:
    """Raise UsageError before the work begins if the folder of a report is missing."""
    for name in _REPORTS:
        path = getattr(args, name)
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(
                f"cannot write {path}: there is no folder {path.absolute().parent}",
                "create the folder first",
            )


def _opened(args: argparse.Namespace, path: Path, *, append: bool = False) -> TextIO:
    """Open a report for writing. Raises UsageError.

    In the checkout no link is followed, because the repository or a command may have made it.
    """
    from localagent.workspace.open_below import below_checkout, write_below

    below = below_checkout(path, args.directory)
    try:
        if below is None:
            mode: Literal["a", "w"] = "a" if append else "w"
            return path.open(mode, encoding="utf-8", errors="replace", newline="\n")
        descriptor = write_below(*below, append=append)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UsageError(
                f"cannot write {path}: a part of its path is a link",
                "the repository or a command may have made it; name a file outside of the checkout",
            ) from None
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n")


def _write_reports(args: argparse.Namespace, texts: Mapping[str, Callable[[], str]]) -> None:
    """Write the reports that the user asked for; then raise UsageError for the first unwritable."""
    errors: list[UsageError] = []
    for name, text in texts.items():
        path = getattr(args, name)
        try:
            if path is not None:
                with _opened(args, path, append=name == "summary") as file:
                    file.write(text())
        except UsageError as error:
            errors.append(error)
    if errors:
        raise errors[0]
