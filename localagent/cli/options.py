"""Options and layout that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localagent.cli.main import Parser

    Commands = argparse._SubParsersAction[Parser]


def add_command(commands: Commands, name: str, summary: str, **more: Any) -> Parser:
    """A command whose texts keep their line breaks. `more` goes to the parser."""
    return commands.add_parser(
        name,
        help=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **more,
    )


def add_directory(parser: argparse.ArgumentParser) -> None:
    """The option -C."""
    parser.add_argument(
        "-C",
        dest="directory",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="work in the folder DIR (default: here)",
    )


def add_scripted(parser: argparse.ArgumentParser) -> None:
    """The option --scripted."""
    parser.add_argument(
        "--scripted",
        metavar="FILE",
        type=Path,
        help="take the model's replies from FILE (tests, demonstrations)",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """The type of an option that takes a whole number of at least `least`."""

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return parsed
