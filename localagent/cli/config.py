"""`localagent config`: the settings, and where each came from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import fail, note, prompt, say, table
from localagent.core.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.config.edit import SettingsFile
    from localagent.config.settings import Settings

_EPILOG = """\
examples:
  localagent config show
  localagent config show mode
  localagent config set max_seconds 900
  localagent config set roles.small qwen2.5-coder-0.5b-instruct
  localagent config unset max_seconds

Settings come from, each overriding those before: the defaults, config.toml in
the user's config folder, .localagent/config.toml in the workspace (which can
only narrow), LOCALAGENT_<KEY> in the environment, flags, and an
administrator's policy. The page on settings: localagent docs config
"""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    text = "Show and change the settings."
    parser = add_command(
        commands, "config", "settings, and where they come from", description=text, epilog=_EPILOG
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = add_command(actions, "show", "every setting, its value and its source")
    action.add_argument("keys", metavar="KEY", nargs="*", help="only these, and what they mean")
    add_directory(action)
    action.set_defaults(execute=show)
    _add_changes(actions)


def show(args: argparse.Namespace) -> int:
    """One line for each setting, and what else holds; of those that are named, what they mean."""
    from localagent.config import policy as policies
    from localagent.config import settings as config
    from localagent.config.schema import SETTINGS

    settings = config.load(args.directory)
    if args.keys:
        return _explain(settings, args.keys)
    rows = [(row(settings, key), about.summary) for key, about in SETTINGS.items()]
    table([(key, value, summary, source) for (key, value, source), summary in rows])
    for rule in (*settings.permissions, *settings.project_permissions):
        say(f"  {rule.action} {rule.tool} {rule.pattern}")
    for text in _policy(settings):
        say(f"policy: {text}")
    if settings.proposed_check is not None:
        say(f"the project proposes the check {settings.proposed_check!r} (not used by itself)")
    for text in settings.warnings:
        note(text)
    say()
    say(f"files: {config.user_file()}")
    say(f"       {config.project_file(args.directory)}")
    for file in policies.places():
        there = "" if file in settings.policy.files else ", not there"
        say(f"       {file} (administrator{there})")
    return 0


def row(settings: Settings, key: str) -> tuple[str, str, str]:
    """A setting, its value and where that came from."""
    return key, _shown(settings, key), _source(settings, key)


def _explain(settings: Settings, keys: list[str]) -> int:
    from localagent.config.kinds import unknown_key
    from localagent.config.schema import SETTINGS

    for key in keys:
        if key not in SETTINGS:
            raise unknown_key(key, "config", SETTINGS)
    for key in keys:
        say("  ".join(row(settings, key)))
        say(f"  {SETTINGS[key].help}")
        say(f"  it may be {SETTINGS[key].allowed}")
        say(f"  default: {SETTINGS[key].format(SETTINGS[key].default)}")
        for rule in settings.permissions + settings.project_permissions:
            if key == "permissions":
                say(f"  {rule.action} {rule.tool} {rule.pattern}")
    return 0


def _source(settings: Settings, key: str) -> str:
    """Where a value came from, and whether anybody here can change it."""
    source = settings.source(key)
    return f"{source} (locked by the administrator)" if source.startswith("policy ") else source


def _policy(settings: Settings) -> list[str]:
    """What the administrator says beside settings."""
    policy = settings.policy
    said = ["offline: models fetch is refused"] if policy.offline else []
    if policy.allowed_hosts:
        said.append(f"allowed as Ollama's host: {', '.join(policy.allowed_hosts)}")
    if policy.sandboxes:
        said.append(f"commands run in these sandboxes only: {', '.join(policy.sandboxes)}")
    return said


def _shown(settings: Settings, key: str) -> str:
    from localagent.config.schema import SETTINGS

    if key == "permissions":
        count = len(settings.permissions) + len(settings.project_permissions)
        return f"{count} rules" if count != 1 else "1 rule"
    return SETTINGS[key].format(getattr(settings, key))


_EMPTY = """\
# localagent's settings. Every key and what it may hold: localagent docs config
"""


def _add_changes(actions: Commands) -> None:
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
    from localagent.ui.view.editor import open_editor

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(
            "there is no terminal for an editor", "localagent config set KEY VALUE needs none"
        )
    file = _file(args)
    before = file.path.read_text(encoding="utf-8") if file.path.exists() else _EMPTY
    text = before
    while True:
        after = open_editor(text, "config.toml")
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
    for text in settings.warnings:
        note(text)
    if key == "model" and settings.model is not None:
        _warn_of_model(settings.model)


def _warn_of_model(model: str) -> None:
    from localagent.models.catalog import lock

    known = [entry.id for entry in lock.load().entries]
    if model not in known:
        note(f"models.lock has no model {model!r}; it has {', '.join(known)}")
