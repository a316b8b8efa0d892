"""Benchmarks: `scripts/bench NAME …`."""

from __future__ import annotations

import argparse
import sys

import actions
import audit
import batch
import bugs
import compare
import engine
import exercises
import index
import localize
import logs
import mutants
import questions
import review
import sandbox
import scenarios
import startup
import terminal

_ALL = (
    *(actions, audit, batch, bugs, compare, engine, exercises, index, localize, logs, mutants),
    *(questions, review, sandbox, scenarios, startup, terminal),
)


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for module in _ALL:
        name = module.__name__
        aliases = ["localise"] if name == "localize" else []  # the name until version 0.1
        summary = (module.__doc__ or "").splitlines()[0].split(": ")[1]
        one = commands.add_parser(name, help=summary, aliases=aliases)
        module.add_arguments(one)
        one.set_defaults(run=module.run)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
