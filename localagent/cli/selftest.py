"""`localagent selftest`: prove on a new machine that localagent works and holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_json
from localagent.cli.output import CliResult, text_result
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.doctor.report import Report
    from localagent.doctor.sandboxes import KindReport

_DESCRIPTION = """\
Prove that localagent works on this machine, without a network: a run would work
(as doctor says), the sandboxes hold (every escape test), and the model repairs
the sample program. Takes one to five minutes. The workspace is not used."""
_EPILOG = """\
exit codes:
  0  everything works and holds
  1  something fails, and is named
"""


def register(commands: Commands) -> None:
    """Add the command selftest to the parser."""
    parser = add_command(
        *(commands, "selftest", "prove that localagent works on this machine", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("--quick", action="store_true", help="skip the repair of the sample")
    add_json(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Run the three parts, and show each result as soon as it is known."""
    rows = []
    for name, good, text in _results(args):
        rows.append({"name": name, "works": good, "found": text})
        if not args.json:
            args.console.show(Output("text", f"{'ok   ' if good else 'FAILS'}  {name}: {text}"))
    failed = [str(row["name"]) for row in rows if not row["works"]]
    last = f"the selftest fails: {', '.join(failed)}" if failed else "the selftest passes"
    data = {"works": not failed, "parts": rows}
    return text_result(last, data=data, exit_code=1 if failed else 0)


def _results(args: argparse.Namespace) -> Iterator[tuple[str, bool, str]]:
    from localagent.config.settings import load
    from localagent.core.paths import cache_dir, private
    from localagent.doctor.examine import examine
    from localagent.doctor.sandboxes import kinds
    from localagent.selftest.sample_repair import repair_sample

    empty = private(cache_dir() / "selftest")  # not the user's folder, which may be large
    yield "doctor", *_examined(examine(empty, canaries=False))
    yield from (_tested(kind) for kind in kinds(load(None), canaries=True) if kind.works)
    if not args.quick:
        done = repair_sample()
        text = f"repaired in {done.seconds:.0f} s"
        yield "sample", done.solved, text if done.solved else f"not repaired: {done.output[-400:]}"


def _examined(report: Report) -> tuple[bool, str]:
    from localagent.ui.view.format import count

    fatal = [f"{p.what} ({p.hint})" for p in report.problems if p.fatal]
    notes = len(report.problems) - len(fatal)
    more = f"; {count(notes, 'note')} (see localagent doctor)" if notes else ""
    return report.works, ("; ".join(fatal) or "a run would work") + more


def _tested(kind: KindReport) -> tuple[str, bool, str]:
    from localagent.doctor.sandboxes import escape_summary

    name = f"sandbox {kind.name}"
    if not kind.canaries:
        return name, False, kind.reason
    return name, not kind.out, escape_summary(kind)
