"""`localagent doctor`: check this machine, and manage the disk space of sessions."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, add_json, add_number
from localagent.cli.output import CliResult, new_file, text_result
from localagent.doctor.report import DoctorProblem, Section
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count, size

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.doctor.report import Report
    from localagent.history.sessions.catalog import Pruned

_MIN_COLUMNS = 40
"""Columns of a terminal; on a narrower terminal, a session truncates its lines."""
_DESCRIPTION = """\
Check this machine and how localagent would run on it: processor and memory,
settings and their locks, folders, the egress lock, each sandbox kind and what
it really denies, the audit log, the Python of checks, the index and its
watcher, how the model would load and why, model servers, the terminal. Each
problem comes with its remedy. No network is used; Ollama is queried on this
machine, and so are the servers of models that you added."""
_EPILOG = """\
examples:
  localagent doctor
  localagent doctor --quick
  localagent doctor --airgap
  localagent doctor --airgap --report airgap.md
  localagent doctor --disk
  localagent doctor --disk --prune --keep 20

exit codes:
  0  a run would work; with --airgap: every part of the guarantee holds
  1  a run would not work; with --airgap: a part fails, and is named
"""
_MAX_BYTES = 1 << 30
_KEEP = 10


def register(commands: Commands) -> None:
    """Add the command doctor to the parser."""
    parser = add_command(
        *(commands, "doctor", "what this machine has, and whether a run would work", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_directory(parser)
    add_json(parser)
    parser.add_argument(
        "--quick", action="store_true", help="skip the escape tests of the sandboxes (seconds each)"
    )
    guarantee = parser.add_argument_group("guarantee")
    guarantee.add_argument(
        "--airgap",
        action="store_true",
        help="test whether data can leave this machine: the lock, the sandbox, the model",
    )
    guarantee.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="with --airgap: also write a page to FILE (Markdown)",
    )
    disk = parser.add_argument_group("disk")
    disk.add_argument("--disk", action="store_true", help="show what localagent stores")
    disk.add_argument(
        "--prune",
        action="store_true",
        help="with --disk: delete the oldest sessions, after listing them and asking",
    )
    add_number(
        disk, "--max-bytes", 0, f"disk space for all sessions (default: {_MAX_BYTES})", _MAX_BYTES
    )
    add_number(disk, "--keep", 0, f"newest sessions to keep in any case (default: {_KEEP})", _KEEP)
    disk.add_argument("--yes", action="store_true", help="delete without asking")


def execute(args: argparse.Namespace) -> CliResult:
    """Examine the machine, or manage the disk space."""
    from localagent.doctor.examine import examine

    if args.disk or args.prune:
        return _disk(args)
    if args.airgap or args.report:
        return _airgap(args)
    report = examine(args.directory, terminal_part(), canaries=not args.quick)
    parts = [
        {"name": part.name, **part.data, "problems": [asdict(p) for p in part.problems]}
        for part in report.parts
    ]
    return text_result(
        *_report_lines(report),
        data={"works": report.works, "parts": parts},
        exit_code=0 if report.works else 1,
    )


def terminal_part() -> Section:
    """Describe the terminal: TERM, size, colors, Unicode, tmux, and how a session is drawn."""
    from localagent.ui.view.screen import can_redraw, capabilities

    is_terminal, can = sys.stdout.isatty(), capabilities(sys.stdout)
    term = os.environ.get("TERM", "")
    size = os.get_terminal_size(sys.stdout.fileno()) if is_terminal else None
    multiplexer = next((name for name in ("TMUX", "STY") if os.environ.get(name)), "")
    where = {"TMUX": "in tmux", "STY": "in screen", "": "not in tmux or screen"}[multiplexer]
    inline = can_redraw()
    lines = [
        f"TERM={term or '(not set)'}, {where}",
        f"size: {size.columns} x {size.lines}" if size else "the output is not a terminal",
        f"colors: {can.colors}" + (", NO_COLOR is set" if "NO_COLOR" in os.environ else ""),
        f"signs: {'Unicode' if can.unicode else 'plain ASCII'} (encoding {can.encoding})",
        f"a session here would be {'drawn inline' if inline else 'line by line'}",
    ]
    problems = []
    if is_terminal and not can.unicode:
        hint = "set LANG to a UTF-8 locale, such as C.UTF-8"
        problems.append(DoctorProblem("the terminal may not show Unicode", hint, fatal=False))
    if is_terminal and not inline:
        hint = "set TERM to the terminal's type, such as xterm-256color"
        problems.append(
            DoctorProblem("TERM says that the terminal shows only plain lines", hint, fatal=False)
        )
    if size is not None and size.columns < _MIN_COLUMNS:
        problem = f"the terminal is only {size.columns} columns wide"
        problems.append(
            DoctorProblem(problem, f"{_MIN_COLUMNS} columns or more are better", fatal=False)
        )
    data = {
        "term": term,
        "columns": size and size.columns,
        "lines": size and size.lines,
        "colours": can.colors,
        "unicode": can.unicode,
        "encoding": can.encoding,
        "tmux": multiplexer == "TMUX",
        "inline": inline,
    }
    return Section("terminal", tuple(lines), tuple(problems), data)


def _report_lines(report: Report) -> Iterator[str]:
    fatal = sum(problem.fatal for problem in report.problems)
    if report.works:
        yield "a run would work"
    else:
        yield f"a run would not work: {count(fatal, 'problem')}, see below"
    for part in report.parts:
        yield part.name
        yield from (f"  {line}" for line in part.lines)
        for problem in part.problems:
            yield f"  {'PROBLEM' if problem.fatal else 'note'}: {problem.what}"
            if problem.hint:
                yield f"    to do: {problem.hint}"


def _airgap(args: argparse.Namespace) -> CliResult:
    """Test every part of the guarantee that no data leaves the machine, and list the results."""
    from localagent.doctor.airgap import airgap, page
    from localagent.doctor.examine import examine

    checks = airgap(args.directory, escapes=not args.quick)
    if args.report:
        parts = examine(args.directory, canaries=False).parts
        new_file(args.report, page(checks, parts, args.directory).encode())
    lines = []
    for check in checks:
        lines.append(f"{'holds' if check.holds else 'FAILS'}  {check.name}: {check.found}")
        if not check.holds and check.hint:
            lines.append(f"    to do: {check.hint}")
    failed = [check.name for check in checks if not check.holds]
    if failed:
        lines.append(f"the guarantee does not hold: {', '.join(failed)}")
    elif args.quick:
        lines.append("every part that was tested holds; --quick left out the escape tests")
    else:
        lines.append("every part of the guarantee holds: nothing leaves this machine")
    data = {"holds": not failed, "checks": [check.as_json() for check in checks]}
    return text_result(*lines, data=data, exit_code=1 if failed else 0)


def _disk(args: argparse.Namespace) -> CliResult:
    """List what localagent stores; with --prune, delete old sessions."""
    from localagent.doctor.examine import disk
    from localagent.history.sessions.catalog import candidates, prune

    folders = disk()
    old = candidates(args.max_bytes, args.keep) if args.prune else []
    if args.json:
        deleted = prune(args.max_bytes, args.keep) if args.prune and args.yes else []
        data: dict[str, object] = {"folders": [{**asdict(f), "path": str(f.path)} for f in folders]}
        if args.prune:
            data["would_delete"] = [asdict(session) for session in old]
            data["deleted"] = [asdict(session) for session in deleted]
        return CliResult(data=data)
    rows = [(f.name, size(f.bytes), count(f.files, "file"), str(f.path)) for f in folders]
    rows.append(("total", size(sum(f.bytes for f in folders)), "", ""))
    outputs = [Output("table", rows=tuple(rows))]
    if not args.prune:
        return CliResult(outputs)
    args.console.show(*outputs, *_prune_list(old))
    if not old:
        return CliResult()
    if not args.yes and not args.console.interactive:
        text = "nothing was deleted: no user can answer here; --yes deletes them"
        return text_result(text)
    if not args.console.confirm("delete them?", yes=args.yes, action="deleted"):
        return text_result("nothing was deleted")
    deleted = prune(args.max_bytes, args.keep)
    freed = size(sum(session.bytes for session in deleted))
    return text_result(f"deleted {count(len(deleted), 'session')}: {freed} freed")


def _prune_list(old: list[Pruned]) -> Iterator[Output]:
    """List the sessions to delete, and warn that they can no longer be resumed or undone."""
    if not old:
        yield Output(
            "text", "no session to delete: all are within the limits, among the newest, or in use"
        )
        return
    total = size(sum(session.bytes for session in old))
    yield Output("text", f"to be deleted: {count(len(old), 'session')}, {total}")
    yield Output("text", "they can then no longer be undone, resumed or replayed")
    yield Output("table", rows=tuple((f"  {s.session}", size(s.bytes)) for s in old))
