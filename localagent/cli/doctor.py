"""`localagent doctor`: what this machine has, what localagent would do, what it keeps."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, whole_number
from localagent.cli.output import say, table
from localagent.core.errors import UsageError
from localagent.doctor.report import Part, Problem

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.doctor.report import Problem, Report
    from localagent.history.sessions.catalog import Pruned

_NARROW = 40  # columns below which lines of the session are cut


def terminal_part() -> Part:
    """TERM, size, colours, unicode, tmux; and how a session would begin here."""
    from localagent.ui.view.screen import can_redraw, capabilities

    shown, can = sys.stdout.isatty(), capabilities(sys.stdout)
    term = os.environ.get("TERM", "")
    size = os.get_terminal_size(sys.stdout.fileno()) if shown else None
    inside = next((name for name in ("TMUX", "STY") if os.environ.get(name)), "")
    within = {"TMUX": "in tmux", "STY": "in screen", "": "not in tmux or screen"}[inside]
    drawn = can_redraw()
    lines = [
        f"TERM={term or '(not set)'}, {within}",
        f"size: {size.columns} x {size.lines}" if size else "the output is not a terminal",
        f"colours: {can.colors}" + (", NO_COLOR is set" if "NO_COLOR" in os.environ else ""),
        f"signs: {'unicode' if can.unicode else 'plain ASCII'} (encoding {can.encoding})",
        f"a session here would be {'drawn inline' if drawn else 'line by line'}",
    ]
    problems = []
    if shown and not can.unicode:
        mend = "set LANG to a locale of UTF-8, such as C.UTF-8"
        problems.append(Problem("the terminal is not known to show unicode", mend, fatal=False))
    if shown and not drawn:
        mend = "set TERM to what the terminal is, such as xterm-256color"
        problems.append(Problem("it is said to show plain lines only", mend, fatal=False))
    if size is not None and size.columns < _NARROW:
        said = f"it is only {size.columns} columns wide"
        problems.append(Problem(said, f"{_NARROW} columns or more are better", fatal=False))
    data = {
        "term": term,
        "columns": size and size.columns,
        "lines": size and size.lines,
        "colours": can.colors,
        "unicode": can.unicode,
        "encoding": can.encoding,
        "tmux": inside == "TMUX",
        "inline": drawn,
    }
    return Part("terminal", tuple(lines), tuple(problems), data)


_DESCRIPTION = """\
Say what this machine has and what localagent would do on it: processor and
memory, settings and who locked them, folders, the egress lock, every kind of
sandbox and what it really denies, the audit log, the index and its watcher, how
the model would be loaded and why, Ollama, the terminal. Each problem comes with
what to do. No network is used; Ollama is asked on this machine."""
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
  1  it would not; with --airgap: a part does not, and is named
"""
_MAX_BYTES = 1 << 30
_KEEP = 10


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "doctor",
        "what this machine has, and whether a run would work",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_directory(parser)
    parser.add_argument("--json", action="store_true", help="write one JSON object to stdout")
    parser.add_argument(
        "--quick", action="store_true", help="do not try to get out of the sandboxes (seconds each)"
    )
    guarantee = parser.add_argument_group("guarantee")
    guarantee.add_argument(
        "--airgap",
        action="store_true",
        help="try whether anything can leave this machine: the lock, the sandbox, the model",
    )
    guarantee.add_argument(
        "--report", metavar="FILE", help="with --airgap: also write a page to file (Markdown)"
    )
    disk = parser.add_argument_group("disk")
    disk.add_argument("--disk", action="store_true", help="show what localagent keeps")
    disk.add_argument(
        "--prune",
        action="store_true",
        help="with --disk: delete the oldest sessions, after listing them and asking",
    )
    disk.add_argument(
        "--max-bytes",
        metavar="N",
        type=whole_number(0),
        default=_MAX_BYTES,
        help=f"what all sessions may take (default: {_MAX_BYTES})",
    )
    disk.add_argument(
        "--keep",
        metavar="N",
        type=whole_number(0),
        default=_KEEP,
        help=f"the newest sessions that stay in any case (default: {_KEEP})",
    )
    disk.add_argument("--yes", action="store_true", help="delete without asking")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Examine, or look after the disk."""
    if args.disk or args.prune:
        return _disk(args)
    if args.airgap or args.report:
        return _airgap(args)
    from localagent.doctor.examine import examine

    report = examine(args.directory, terminal_part(), canaries=not args.quick)
    if args.json:
        say(json.dumps(_as_json(report)))
    else:
        _show(report)
    return 0 if report.works else 1


def _airgap(args: argparse.Namespace) -> int:
    """Try every part of the guarantee; tell which hold."""
    from localagent.doctor.airgap import airgap
    from localagent.doctor.examine import examine
    from localagent.doctor.page import page

    checks = airgap(args.directory)
    held = all(check.holds for check in checks)
    if args.report:
        _write(
            args.report, page(checks, examine(args.directory, canaries=False).parts, args.directory)
        )
    if args.json:
        say(json.dumps({"holds": held, "checks": [asdict(check) for check in checks]}))
        return 0 if held else 1
    for check in checks:
        say(f"{'holds' if check.holds else 'FAILS'}  {check.name}: {check.found}")
        if not check.holds and check.mend:
            say(f"    to do: {check.mend}")
    failed = [check.name for check in checks if not check.holds]
    if held:
        say("every part of the guarantee holds: nothing leaves this machine")
    else:
        say(f"the guarantee does not hold: {', '.join(failed)}")
    return 0 if held else 1


def _write(name: str, text: str) -> None:
    try:
        with Path(name).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(
            f"cannot write {name}: {error.strerror}", "name a file that is not there yet"
        ) from None


def _show(report: Report) -> None:
    for part in report.parts:
        say(part.name)
        for line in part.lines:
            say(f"  {line}")
        for problem in part.problems:
            _show_problem(problem)
    fatal = sum(problem.fatal for problem in report.problems)
    if report.works:
        say("a run would work")
    else:
        say(f"a run would not work: {fatal} problem{'s' if fatal > 1 else ''}, see above")


def _show_problem(problem: Problem) -> None:
    say(f"  {'PROBLEM' if problem.fatal else 'note'}: {problem.what}")
    if problem.hint:
        say(f"    to do: {problem.hint}")


def _as_json(report: Report) -> dict[str, object]:
    parts = [
        {"name": part.name, **part.data, "problems": [asdict(p) for p in part.problems]}
        for part in report.parts
    ]
    return {"works": report.works, "parts": parts}


def _disk(args: argparse.Namespace) -> int:
    """Show what is kept; delete sessions where that is asked for."""
    from localagent.doctor.state import disk
    from localagent.history.sessions.catalog import candidates, prune
    from localagent.ui.view.format import count, size

    kept = disk()
    would = candidates(args.max_bytes, args.keep) if args.prune else []
    if args.json:
        gone = prune(args.max_bytes, args.keep) if args.prune and args.yes else []
        folders = [{**asdict(item), "path": str(item.path)} for item in kept]
        listed = {"would_delete": [asdict(p) for p in would], "deleted": [asdict(p) for p in gone]}
        say(json.dumps({"folders": folders, **(listed if args.prune else {})}))
        return 0
    rows = [(k.name, size(k.bytes), count(k.files, "file"), str(k.path)) for k in kept]
    table([*rows, ("in all", size(sum(k.bytes for k in kept)), "", "")])
    if not args.prune:
        return 0
    _list(would)
    if would and (args.yes or _agreed()):
        gone = prune(args.max_bytes, args.keep)
        say(f"deleted {count(len(gone), 'session')}: {size(sum(p.bytes for p in gone))} freed")
    return 0


def _list(would: list[Pruned]) -> None:
    from localagent.ui.view.format import count, size

    if not would:
        say("no session is to be deleted: they are within the bounds, the newest, or at work")
        return
    total = size(sum(p.bytes for p in would))
    say(f"to be deleted: {count(len(would), 'session')}, {total}")
    say("they can then no longer be undone, resumed or replayed")
    table([(f"  {p.session}", size(p.bytes)) for p in would])


def _agreed() -> bool:
    """Ask; where nobody can be asked, the answer is no."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("nothing was deleted: nobody can be asked here; --yes deletes them")
        return False
    sys.stdout.write("delete them? [y/N] ")
    sys.stdout.flush()
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        say("nothing was deleted")
    return agreed
