"""`localagent config`: the settings, and where each came from; `config_change` changes them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from localagent.cli import config_change
from localagent.cli.options import add_command, add_directory
from localagent.cli.output import note, say, table

if TYPE_CHECKING:
    from localagent.cli.options import Commands
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
    config_change.register(actions)


def show(args: argparse.Namespace) -> int:
    """One line for each setting, and what else holds; of those that are named, what they mean."""
    from localagent.config import policy as policies
    from localagent.config import settings as config
    from localagent.config.schema import KEYS

    settings = config.load(args.directory)
    if args.keys:
        return _explain(settings, args.keys)
    table([row(settings, key) for key in KEYS])
    for rule in (*settings.permissions, *settings.project_permissions):
        say(f"  {rule.action} {rule.tool} {rule.pattern}")
    for text in _policy(settings):
        say(f"policy: {text}")
    if settings.proposed_check is not None:
        say(f"the project proposes the check {settings.proposed_check!r} (not used by itself)")
    for text in settings.notes:
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
    from localagent.config.schema import KEYS, unknown_key

    for key in keys:
        if key not in KEYS:
            raise unknown_key(key, "config", KEYS)
    for key in keys:
        say("  ".join(row(settings, key)))
        say(f"  {KEYS[key].meaning}")
        say(f"  it may be {KEYS[key].allowed}")
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
    value = getattr(settings, key)
    if key == "permissions":
        count = len(settings.permissions) + len(settings.project_permissions)
        return f"{count} rules" if count != 1 else "1 rule"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {each}" for name, each in value.items()) or "(unset)"
    if isinstance(value, tuple):
        return ", ".join(value) or "(none)"
    if value is None:
        return "(unset)"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)
