"""`localagent config`: show the settings and their sources, and change them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_command_group, add_directory
from localagent.cli.output import CliResult, Console, error_output, text_result
from localagent.core.errors import ConfigError, RefusedError
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count

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

Later sources override earlier ones: the defaults, config.toml in your config
folder, .localagent/config.toml in the workspace (which can only narrow),
LOCALAGENT_<KEY> in the environment, flags, and an administrator's policy. All
settings are explained in: localagent docs config
"""
_KEY = "a setting, or TABLE.ENTRY (roles.small)"
_MOST_VALUE = 24  # characters of a value in the overview
_EMPTY_FILE = """\
# localagent's settings. Every key and what it may hold: localagent docs config
"""


def register(commands: Commands) -> None:
    """Add the command config and its actions to the parser."""
    actions = add_command_group(
        commands,
        "config",
        "settings, and where they come from",
        description="Show and change the settings.",
        epilog=_EPILOG,
    )
    action = add_command(actions, "show", "every setting, its value and its source", show)
    action.add_argument(
        "keys", metavar="KEY", nargs="*", help="show and explain only these settings"
    )
    add_directory(action)
    action = add_command(actions, "set", "change one setting; comments in the file stay", set_value)
    action.add_argument("key", metavar="KEY", help=_KEY)
    action.add_argument("value", metavar="VALUE", help="its value; for a list: A,B,C")
    _add_place(action)
    action = add_command(actions, "unset", "remove one setting from the file", unset_value)
    action.add_argument("key", metavar="KEY", help=_KEY)
    _add_place(action)
    _add_place(add_command(actions, "edit", "open the file in your editor, and check it", edit))
    _add_place(add_command(actions, "path", "print the file's path", path))


def _add_place(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--project", action="store_true", help="the file of the project, which can only narrow"
    )
    add_directory(action)


def show(args: argparse.Namespace) -> CliResult:
    """List settings, policy and files; for settings that the user names, also explain them."""
    from localagent.config import policy, settings
    from localagent.config.schema import SETTINGS

    loaded = settings.load(args.directory)
    if args.keys:
        return _explain(loaded, args.keys)
    rows = tuple(_summary_row(loaded, key) for key in SETTINGS)
    lines = _rule_lines(loaded)
    lines += [f"policy: {text}" for text in _policy_lines(loaded)]
    if loaded.proposed_check is not None:
        check = loaded.proposed_check
        lines.append(f"the project proposes the check {check!r}; only you can set it")
    lines += ["", f"files: {settings.user_file()}"]
    lines.append(f"       {settings.project_file(args.directory)}")
    for file in policy.places():
        missing = "" if file in loaded.policy.files else ", missing"
        lines.append(f"       {file} (administrator{missing})")
    return CliResult(
        [
            Output("table", rows=rows),
            Output("text", "\n".join(lines)),
            *(Output("note", text) for text in loaded.warnings),
        ]
    )


def _explain(settings: Settings, keys: list[str]) -> CliResult:
    from localagent.config.kinds import unknown_key
    from localagent.config.schema import SETTINGS

    lines = []
    for key in keys:
        if key not in SETTINGS:
            raise unknown_key(key, "config", SETTINGS)
        lines += [
            "  ".join(_row(settings, key)),
            f"  {SETTINGS[key].help}",
            f"  allowed: {SETTINGS[key].allowed}",
            f"  default: {SETTINGS[key].format(SETTINGS[key].default)}",
        ]
        lines += _rule_lines(settings) if key == "permissions" else []
    return text_result(*lines)


def set_value(args: argparse.Namespace) -> CliResult:
    """Set one value, and show the value that is now in effect."""
    from localagent.config import edit

    file = _file(args)
    edit.set_value(file, args.key, args.value)
    return _current(args, file)


def unset_value(args: argparse.Namespace) -> CliResult:
    """Remove one value, and show the value that is now in effect."""
    from localagent.config import edit

    file = _file(args)
    was_set = edit.unset_value(file, args.key)
    current = _current(args, file)
    if was_set:
        return current
    absent = Output("note", f"{args.key} is not set in {file.path}")
    return CliResult([absent, *current.outputs])


def edit(args: argparse.Namespace) -> CliResult:
    """Open the settings file in an editor. If it has mistakes, offer to edit it again."""
    from localagent.ui.view.editor import open_editor

    if not args.console.interactive:
        raise RefusedError(
            "config edit needs a terminal", "without a terminal: localagent config set KEY VALUE"
        )
    file = _file(args)
    before = file.path.read_text(encoding="utf-8") if file.path.exists() else _EMPTY_FILE
    text = before
    while True:
        after = open_editor(text, "config.toml")
        if after is None:
            raise RefusedError("the editor ended with an error, so nothing was changed")
        if after == before:
            return text_result("nothing was changed")
        try:
            file.write(after)
        except ConfigError as error:
            args.console.show(error_output(error))
            text = after
            if not _edit_again(args.console):
                raise RefusedError("nothing was changed") from None
            continue
        return text_result(f"changed {file.path}")


def _edit_again(console: Console) -> bool:
    console.prompt("edit again? [Y/n] ")
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("", "y", "yes") and answer != ""


def path(args: argparse.Namespace) -> CliResult:
    """Print the path of the settings file, which need not exist."""
    return text_result(str(_file(args).path))


def _file(args: argparse.Namespace) -> SettingsFile:
    from localagent.config import settings
    from localagent.config.edit import SettingsFile
    from localagent.workspace.workspace import Workspace

    if not args.project:
        return SettingsFile(settings.user_file())
    root: Path = Workspace.open(args.directory).root
    return SettingsFile(settings.project_file(root), project=True)


def _current(args: argparse.Namespace, file: SettingsFile) -> CliResult:
    """Describe the value in effect after a change to `file`, and its source."""
    from localagent.project.project import Project

    settings = Project.open(args.directory).settings
    key = "model" if args.key == "roles.main" else args.key.partition(".")[0]
    text = "  ".join(_row(settings, key))
    if file.project and key == "check":
        proposed = _format(key, settings.proposed_check)
        text = f"check  {proposed}  {file.path}"
    notes = list(settings.warnings)
    if file.project and key == "check" and settings.proposed_check is not None:
        notes.append("this is a proposal; each user accepts it: localagent config set check CMD")
    if key == "model" and settings.model is not None:
        notes += _unknown_model(settings.model)
    return CliResult([Output("text", text), *(Output("note", note) for note in notes)])


def _unknown_model(model: str) -> list[str]:
    from localagent.models.catalog import lock

    known = [entry.id for entry in lock.load().entries]
    if model in known:
        return []
    return [f"models.lock has no model {model!r}; it has {', '.join(known)}"]


def _summary_row(settings: Settings, key: str) -> tuple[str, str, str]:
    """Build a row of the overview, whose columns fit on 80 cells. A long default is left out."""
    from localagent.config.schema import SETTINGS

    _, value, source = _row(settings, key)
    if len(value) > _MOST_VALUE and source == "default":
        value = "(default)"
    return key, value, f"{SETTINGS[key].summary}; {source}"


def _row(settings: Settings, key: str) -> tuple[str, str, str]:
    """Build one row: a setting, its value, its source with the administrator's lock."""
    source = settings.source(key)
    if source.startswith("policy "):
        source += " (locked by the administrator)"
    return key, _value(settings, key), source


def _rule_lines(settings: Settings) -> list[str]:
    rules = (*settings.permissions, *settings.project_permissions)
    return [f"  {rule.action} {rule.tool} {rule.pattern}" for rule in rules]


def _policy_lines(settings: Settings) -> list[str]:
    """List the parts of the administrator's policy that are not settings."""
    policy = settings.policy
    lines = ["offline: models fetch is refused"] if policy.offline else []
    if policy.allowed_hosts:
        lines.append(f"allowed hosts of model servers: {', '.join(policy.allowed_hosts)}")
    if policy.sandboxes:
        lines.append(f"commands run only in these sandboxes: {', '.join(policy.sandboxes)}")
    if policy.audit_min_days:
        lines.append(f"the audit log keeps every session for {policy.audit_min_days} days")
    return lines


def _value(settings: Settings, key: str) -> str:
    if key == "permissions":
        return count(len(settings.permissions) + len(settings.project_permissions), "rule")
    return _format(key, getattr(settings, key))


def _format(key: str, value: object) -> str:
    from localagent.config.schema import SETTINGS

    return SETTINGS[key].format(value)
