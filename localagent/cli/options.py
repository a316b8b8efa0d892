"""The parser of the command line, and options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from localagent.cli.aliases import option_hint, similar_option
from localagent.config.kinds import ChoiceKind, Seconds, Whole
from localagent.config.schema import SETTINGS
from localagent.core.errors import UsageError

if TYPE_CHECKING:
    from localagent.cli.output import CliResult

    Commands = argparse._SubParsersAction["Parser"]
    Execute = Callable[[argparse.Namespace], CliResult]

SESSION_SETTINGS = {"model": "ID", "planner": "NAME", "check": "CMD", "mode": "", "sandbox": "KIND"}
"""Settings that a session has options for, each with the placeholder of its value."""


class HelpRequest(Exception):
    """Raised if the user asks for help; its argument is the help text."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises errors and help texts instead of printing them."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError. For an unknown command, the message omits the list of all commands."""
        if message.startswith("argument COMMAND: "):
            task = 'localagent run "…" carries out a task; commands: localagent --help'
            raise UsageError(message.partition(" (choose from")[0], task)
        option = message.removeprefix("unrecognized arguments: ").partition(" ")[0]
        raise UsageError(message, option_hint(option) or f"see {self.prog} --help")

    def parse_known_args(self, *args: Any, **more: Any) -> Any:
        """Parse as argparse does. Raises UsageError for a mistyped option of this command."""
        parsed, unknown = super().parse_known_args(*args, **more)
        for word in unknown:
            if not option_hint(word) and (
                near := similar_option(word, self._option_string_actions)
            ):
                raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", near)
        return parsed, unknown

    def print_help(self, _file: object = None) -> NoReturn:
        """Raise HelpRequest with the help text."""
        raise HelpRequest(self.format_help())


def add_command(
    commands: Commands, name: str, summary: str, execute: Execute | None = None, **texts: Any
) -> Parser:
    """Add a command that `execute` carries out; `texts` may hold `description` and `epilog`.

    The help shows both texts with their line breaks.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **texts,
    )
    if execute is not None:
        parser.set_defaults(execute=execute)
    return parser


def add_command_group(commands: Commands, name: str, summary: str, **texts: Any) -> Commands:
    """Add a command that has actions, as `models` has the action `list`."""
    parser = add_command(commands, name, summary, **texts)
    return parser.add_subparsers(title="actions", metavar="ACTION", required=True)


def add_directory(parser: argparse.ArgumentParser) -> None:
    """Add the option -C, which sets the folder to work in."""
    parser.add_argument(
        "-C",
        dest="directory",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="work in the folder DIR (default: here)",
    )


def refuse_home(directory: Path) -> None:
    """Raise UsageError if no folder was named, and the current one is the user's home or above it.

    Commands could change everything in a home, such as .bashrc, which other programs run.
    """
    here, home = Path.cwd(), Path.home().resolve()
    if directory == Path() and (here == home or here in home.parents):
        raise UsageError(
            f"{here} holds your home, whose files commands could change",
            f"start in a project's own folder; to work here all the same: -C {here}",
        )


def add_json(parser: argparse.ArgumentParser, help: str = "write one JSON object") -> None:
    """Add the option --json; `Console.finish` reads it."""
    parser.add_argument("--json", action="store_true", help=help)


def add_plain(parser: argparse._ActionsContainer, prefix: str = "") -> None:
    """Add the option --plain, which draws without redrawing."""
    parser.add_argument(
        "--plain",
        dest=f"{prefix}plain",
        action="store_true",
        default=None,
        help="draw line by line and redraw nothing, as a screen reader needs it",
    )


def add_session_options(parser: argparse._ActionsContainer, prefix: str = "") -> None:
    """Add the options of a session: one for each of several settings, and --scripted.

    The name of each parsed value begins with `prefix`.
    """
    for key, metavar in SESSION_SETTINGS.items():
        add_setting(parser, key, metavar, f"{prefix}{key}")
    add_scripted(parser, prefix)


def add_setting(
    parser: argparse._ActionsContainer, key: str, metavar: str = "", dest: str = ""
) -> None:
    """Add an option for the setting `key`, with the setting's type, choices and help."""
    setting = SETTINGS[key]
    words = setting.kind.words if isinstance(setting.kind, ChoiceKind) else ()
    help_text = setting.help
    if words and metavar:  # no choices here: config.settings reports a wrong word
        help_text += f" ({', '.join(words)})"
    parser.add_argument(
        setting.flag,
        dest=dest or key,
        metavar=metavar or None,
        type={Whole: int, Seconds: float}.get(type(setting.kind), str),
        choices=None if metavar else words,
        help=help_text.replace("%", "%%"),
    )


def add_scripted(parser: argparse._ActionsContainer, prefix: str = "") -> None:
    """Add the option --scripted, which replaces the model by a file of replies."""
    parser.add_argument(
        "--scripted",
        dest=f"{prefix}scripted",
        metavar="FILE",
        type=Path,
        help="take the model's replies from FILE (tests, demonstrations)",
    )


def add_number(
    parser: argparse._ActionsContainer,
    flag: str,
    minimum: int,
    help: str,
    default: int | None = None,
) -> None:
    """Add an option that takes a whole number of at least `minimum`."""
    parser.add_argument(flag, metavar="N", type=whole_number(minimum), default=default, help=help)


def whole_number(minimum: int) -> Callable[[str], int]:
    """Return the argparse type for a whole number of at least `minimum`."""

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {minimum}"
            )
        return value

    return parsed
