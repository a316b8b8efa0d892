"""The command line: `python -m timesheet report FILE` and `python -m timesheet invoice …`."""

import argparse
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

from timesheet import report
from timesheet.parse import BadLine, parse


def main(argv: list[str]) -> int:
    """Run the command line and return the exit code."""
    options = _options().parse_args(argv)
    try:
        works = parse(options.file.read_text(encoding="utf-8"))
    except (OSError, BadLine) as error:
        print(f"timesheet: {error}", file=sys.stderr)
        return 2
    if options.first:
        works = report.since(works, options.first)
    if options.command == "report":
        print(report.table(report.totals(works, options.by)))
    else:
        print(report.invoice(works, options.project, options.rate))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timesheet")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("report", "invoice"):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        command.add_argument("--from", dest="first", type=date.fromisoformat)
        if name == "report":
            command.add_argument("--by", choices=("project", "day"), default="project")
        else:
            command.add_argument("project")
            command.add_argument("--rate", type=Decimal, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
