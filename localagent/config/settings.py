"""Read the sources of the settings, and combine them.

Each source overrides the sources above it:

    default
    user       config.toml in the user's config folder
    project    .localagent/config.toml in the workspace; may only narrow
    environment  LOCALAGENT_<KEY>
    flag       --key
    policy     an administrator's file; wins over everything

A project's file comes with a repository that nobody has reviewed. The file can lower limits, name a
planner or a stricter mode, add rules that ask or deny, and propose a check. A proposed check runs
only after a user confirms it.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from localagent.config import policy as policies
from localagent.config.policy import Policy
from localagent.config.schema import SETTINGS, read_file, validated
from localagent.config.schema import Settings as Settings
from localagent.core.errors import ConfigError
from localagent.core.events import MODES
from localagent.core.paths import config_dir

_PREFIX = "LOCALAGENT_"
PROJECT_KEYS = tuple(key for key, setting in SETTINGS.items() if setting.project)
"""The settings that a project's file may contain."""
_OLLAMA_PORT = 11434  # Ollama's default port


def user_file() -> Path:
    """The path of the user's settings file. The file may not exist."""
    return config_dir() / "config.toml"


def project_file(root: Path) -> Path:
    """The path of a project's settings file. The file may not exist."""
    return root / ".localagent" / "config.toml"


def load(
    workspace_root: Path | None,
    flags: Mapping[str, Any] | None = None,
    *,
    policy: Path | None = None,
) -> Settings:
    """Load the settings for a workspace; None means outside of a workspace.

    `flags` are values by key; None means that the flag is not given. Tests replace the policy in
    force by `policy`. Raises ConfigError, also for a flag that the policy contradicts. For other
    ignored values the result has `warnings`.
    """
    ruling = policies.in_force() if policy is None else policies.read((policy,))
    settings = _merged(Settings(), read_file(user_file()), str(user_file()))
    if workspace_root is not None:
        settings = _with_project(settings, project_file(workspace_root))
    settings = _with_environment(settings)
    for key, value in (flags or {}).items():
        if value is not None:
            flag = f"--{key.replace('_', '-')}"
            settings = _merged(settings, validated({key: value}, flag, strict=False), flag)
    return _consistent(_with_policy(settings, ruling))


def _consistent(settings: Settings) -> Settings:
    """Return `settings` unchanged. Raises ConfigError if settings contradict each other."""
    host = settings.ollama_host
    try:
        port = urlsplit(host if "://" in host else f"http://{host}").port or _OLLAMA_PORT
    except ValueError:
        port = None  # the first request to the server reports the wrong address
    if port in settings.sandbox_ports:
        raise ConfigError(
            f"{settings.source('sandbox_ports')}: sandbox_ports has {port}, the port of Ollama",
            "a command could use the internet through Ollama; remove the port",
        )
    return settings


def check_policy(policy: Policy) -> None:
    """Raise ConfigError if a key or value of the policy does not fit the settings."""
    for file, table in policy.settings.items():
        validated(table, str(file), strict=True)


def _with_policy(settings: Settings, policy: Policy) -> Settings:
    """`settings`, overridden by the settings of the policy."""
    notes = []
    for file, table in policy.settings.items():
        values = validated(table, str(file), strict=True)
        notes += _policy_warnings(settings, values, file)
        settings = _merged(settings, values, f"policy {file}")
    return replace(settings, warnings=(*settings.warnings, *notes), policy=policy)


def _policy_warnings(settings: Settings, values: Mapping[str, Any], file: Path) -> list[str]:
    """Warnings about the user's values that the policy overrides. Raises ConfigError for a flag."""
    notes = []
    for key, value in values.items():
        source, mine = settings.source(key), getattr(settings, key)
        ruled = None if key == "sandbox" and value == "auto" else value
        if key in ("permissions", "roles") or source == "default" or mine == ruled:
            continue
        if source.startswith("--"):
            raise ConfigError(
                f"{source} {mine} is not possible: the administrator's policy {file} sets "
                f"{key} = {value}",
                "localagent config show says what the policy sets",
            )
        notes.append(f"{key} of {source} is ignored: the policy {file} sets it to {value}")
    return notes


def _merged(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    """`settings`, overridden by `values`.

    Permission rules in `values` come first. A role that `values` do not name keeps its model.
    """
    new = dict(values)
    if "permissions" in new:
        new["permissions"] = (*new["permissions"], *settings.permissions)
    if "roles" in new:
        new["roles"] = MappingProxyType({**settings.roles, **new["roles"]})
    if new.get("sandbox") == "auto":
        new["sandbox"] = None
    sources = {**settings.sources, **dict.fromkeys(values, source)}
    return replace(settings, **new, sources=MappingProxyType(sources))


def _with_project(settings: Settings, path: Path) -> Settings:
    """`settings`, narrowed by the project's values.

    A value that would widen a setting is ignored with a warning. Raises ConfigError for other
    forbidden values.
    """
    values = read_file(path)
    not_for_projects(values, path)
    rules = values.pop("permissions", ())
    proposed = values.pop("check", None)
    warnings = [
        *(_drop_higher_limit(settings, values, key, path) for key in ("max_seconds", "max_tokens")),
        _drop_less_strict_mode(settings, values, path),
    ]
    return replace(
        _merged(settings, values, str(path)),
        proposed_check=proposed,
        project_permissions=rules,
        warnings=(*settings.warnings, *filter(None, warnings)),
    )


def not_for_projects(values: Mapping[str, Any], path: Path) -> None:
    """Raise ConfigError for settings that a project's file may not contain."""
    for key in values:
        if key not in PROJECT_KEYS:
            raise ConfigError(
                f"{path}: a project may not set {key}",
                f"it may set {', '.join(PROJECT_KEYS)}; put {key} into {user_file()}",
            )
    for rule in values.get("permissions", ()):
        if rule.action == "allow":
            raise ConfigError(
                f"{path}: a project's rules may not allow actions",
                'use action = "ask" or "deny" there; put rules that allow into ' + str(user_file()),
            )


def _drop_higher_limit(settings: Settings, values: dict[str, Any], key: str, path: Path) -> str:
    """Drop a project's limit unless it lowers the limit in force; return a warning, or ""."""
    mine = getattr(settings, key)
    if key not in values or mine is None or values[key] < mine:
        return ""
    given = values.pop(key)
    if given == mine:
        return ""
    return f"{path}: {key} = {given:g} is ignored; a project may only lower it (it is {mine:g})"


def _drop_less_strict_mode(settings: Settings, values: dict[str, Any], path: Path) -> str:
    """Drop a project's mode if the mode in force is stricter; return a warning, or ""."""
    mine, given = settings.mode, values.get("mode", settings.mode)
    if MODES.index(given) <= MODES.index(mine):
        return ""
    del values["mode"]
    return f"{path}: mode = {given!r} is ignored; a project may only be stricter (it is {mine!r})"


def _with_environment(settings: Settings) -> Settings:
    notes: list[str] = []
    for name, text in sorted(os.environ.items()):
        if not name.startswith(_PREFIX) or not text:
            continue
        key = name[len(_PREFIX) :].lower()
        if key in SETTINGS and key != "permissions":
            settings = _merged(settings, validated({key: text}, name, strict=False), name)
        elif near := difflib.get_close_matches(key, [k for k in SETTINGS if k != key], 1, 0.8):
            notes.append(f"{name} is ignored; did you mean {_PREFIX}{near[0].upper()}?")
    return replace(settings, warnings=(*settings.warnings, *notes))
