"""Options and layout that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localagent.config.kinds import Choice, Seconds, Whole
from localagent.config.schema import SETTINGS

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


def add_setting(
    parser: argparse._ActionsContainer, key: str, metavar: str = "", dest: str = ""
) -> None:
    """The option that sets the setting `key`, with the setting's type, choices and help."""
    setting = SETTINGS[key]
    words = setting.kind.words if isinstance(setting.kind, Choice) else ()
    help_text = setting.help
    if words and metavar:  # any word is taken here: a bad one is an error of the settings
        help_text += f" ({', '.join(words)})"
    parser.add_argument(
        setting.flag,
        dest=dest or key,
        metavar=metavar or None,
        type={Whole: int, Seconds: float}.get(type(setting.kind), str),
        choices=None if metavar else words,
        help=help_text.replace("%", "%%"),
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
