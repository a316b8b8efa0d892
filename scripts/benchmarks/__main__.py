"""Benchmarks: `scripts/bench NAME …`."""

from __future__ import annotations

import argparse
import sys

import exercises


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    one = commands.add_parser("exercises", help="solve exercises of exercism/python")
    exercises.add_arguments(one)
    one.set_defaults(run=exercises.run)
    options = parser.parse_args()
    return options.run(options)


if __name__ == "__main__":
    sys.exit(main())
