"""`localagent config set | unset | edit | path`: changing settings files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import fail, note, prompt, say
from localagent.core.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.config.edit import SettingsFile

_EMPTY = """\
# localagent's settings. Every key and what it may hold: localagent docs config
"""


def register(actions: Commands) -> None:
    """Add the subcommands."""
    action = add_command(actions, "set", "change one setting; comments in the file stay")
    action.add_argument("key", metavar="KEY", help="a setting, or TABLE.ENTRY (roles.small)")
    action.add_argument("value", metavar="VALUE", help="its value; of a list: A,B,C")
    _add_place(action)
    action.set_defaults(execute=set_value)
    action = add_command(actions, "unset", "take one setting out of the file")
    action.add_argument("key", metavar="KEY", help="a setting, or TABLE.ENTRY (roles.small)")
    _add_place(action)
    action.set_defaults(execute=unset_value)
    action = add_command(actions, "edit", "open the file in your editor, and check it")
    _add_place(action)
    action.set_defaults(execute=edit)
    action = add_command(actions, "path", "print the file's path")
    _add_place(action)
    action.set_defaults(execute=path)


def _add_place(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--project", action="store_true", help="the file of the project, which can only narrow"
    )
    add_directory(action)


def set_value(args: argparse.Namespace) -> int:
    """Set one value, and say what holds now."""
    from localagent.config import edit as config_change

    file = _file(args)
    config_change.set_value(file, args.key, args.value)
    _tell(args, file)
    return 0


def unset_value(args: argparse.Namespace) -> int:
    """Take one value out, and say what holds now."""
    from localagent.config import edit as config_change

    file = _file(args)
    if not config_change.unset_value(file, args.key):
        note(f"{args.key} is not set in {file.path}")
    _tell(args, file)
    return 0


def edit(args: argparse.Namespace) -> int:
    """Open the file; what is wrong is said, and not written."""
    from localagent.ui.view.editor import edited

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(
            "there is no terminal for an editor", "localagent config set KEY VALUE needs none"
        )
    file = _file(args)
    before = file.path.read_text(encoding="utf-8") if file.path.exists() else _EMPTY
    text = before
    while True:
        after = edited(text, "config.toml")
        if after is None:
            raise RefusedError("the editor ended with an error, so nothing was changed")
        if after == before:
            say("nothing was changed")
            return 0
        try:
            file.write(after)
        except ConfigError as error:
            fail(error)
            text = after
            if not _again():
                raise RefusedError("nothing was changed") from None
            continue
        say(f"changed {file.path}")
        return 0


def _again() -> bool:
    prompt("edit again? [Y/n] ")
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("", "y", "yes") and answer != ""


def path(args: argparse.Namespace) -> int:
    """Print the path; the file need not exist."""
    say(str(_file(args).path))
    return 0


def _file(args: argparse.Namespace) -> SettingsFile:
    from localagent.config import settings as config
    from localagent.config.edit import SettingsFile
    from localagent.workspace.workspace import Workspace

    if not args.project:
        return SettingsFile(config.user_file())
    root: Path = Workspace.open(args.directory).root
    return SettingsFile(config.project_file(root), project=True)


def _tell(args: argparse.Namespace, file: SettingsFile) -> None:
    """What the setting is now and, where another source wins, which."""
    from localagent.cli.config import row
    from localagent.config import settings as config
    from localagent.workspace.workspace import Workspace

    settings = config.load(Workspace.open(args.directory).root)
    key = args.key.partition(".")[0]
    if args.key == "roles.main":
        key = "model"
    if file.project and key == "check":
        say(f"check  {settings.proposed_check!r}  {file.path} (proposed)")
    else:
        say("  ".join(row(settings, key)))
    for text in settings.notes:
        note(text)
    if key == "model" and settings.model is not None:
        _warn_of_model(settings.model)


def _warn_of_model(model: str) -> None:
    from localagent.models.catalog import lock

    known = [entry.id for entry in lock.load().entries]
    if model not in known:
        note(f"models.lock has no model {model!r}; it has {', '.join(known)}")
