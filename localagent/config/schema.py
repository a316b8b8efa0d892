"""What a settings file may say: every key, what it means and what it may hold.

One pydantic model validates all sources.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from localagent.core.errors import ConfigError

# Settings are written by hand; what is longer is no settings file.
_MAX_BYTES = 256 << 10


DEFAULT_STATUS = (
    *("mode", "model", "window", "speed", "sandbox"),
    *("branch", "planner", "reused", "time"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it does, what it may hold, and its value where nobody sets it."""

    meaning: str
    allowed: str
    default: object = None


KEYS: dict[str, Key] = {
    "model": Key("the model, by its id in models.lock", "a model's id"),
    "planner": Key(
        "how the work is planned; unset: as the model's profile says",
        '"workflow" or "react", or "plugin:NAME"',
    ),
    "mode": Key(
        "how much may be done without asking",
        '"plan", "ask", "auto-edit" or "auto"',
        "ask",
    ),
    "check": Key(
        "the command that decides whether a task is solved; unset: found in the project",
        "a command line that is not empty",
    ),
    "max_seconds": Key("the longest that a turn may take", "seconds, more than 0"),
    "max_tokens": Key("the most tokens that a turn may generate", "a whole number, 1 or more"),
    "check_seconds": Key("the longest that one check may take", "seconds, more than 0", 120.0),
    "search_seconds": Key(
        "the longest that the workflow planner looks for a solution", "seconds, more than 0", 600.0
    ),
    "sandbox": Key(
        "where commands run; unset or auto: the best kind that works here",
        '"auto", "unshare", "bubblewrap", "landlock" or "none"',
    ),
    "sandbox_ports": Key(
        "ports of this machine's 127.0.0.1 that commands in the sandbox may connect to (a test "
        "database); none: no network at all",
        "a list of at most 16 numbers from 1024 to 65535, without that of ollama_host",
        (),
    ),
    "threads": Key(
        "threads for the model; 0: one for each physical core", "a whole number from 0 to 1024", 0
    ),
    "gpu_layers": Key(
        "layers of the model on the GPU; unset: as many as memory allows",
        "a whole number from 0 to 10000",
    ),
    "nice": Key(
        "how far the model's process stands back behind other programs",
        "a whole number from 0 (not at all) to 19",
        0,
    ),
    "memory_bytes": Key(
        "the most memory that a model may take; unset: what is free",
        "a whole number, 268435456 or more",
    ),
    "kv_cache_bytes": Key(
        "bytes on disk for what models have read; 0: nothing is kept",
        "a whole number, 0 or more",
        2 << 30,
    ),
    "window": Key(
        "tokens in the model's window; unset: as its profile says",
        "a whole number from 1024 to 1048576",
    ),
    "silence_seconds": Key(
        "silence after which the model's process or server counts as hung",
        "seconds, 5 or more",
        120.0,
    ),
    "ollama_host": Key(
        "where the Ollama server listens; only this machine is allowed",
        "an address such as http://127.0.0.1:11434",
        "http://127.0.0.1:11434",
    ),
    "candidates": Key(
        "possible changes that are tried; unset: as the model's profile says",
        "a whole number from 1 to 64",
    ),
    "checkpoint_bytes": Key(
        "bytes that one session may keep for undo", "a whole number, 1048576 or more", 512 << 20
    ),
    "project_files": Key(
        "what a project brings that changes what the agent does (AGENTS.md, prompts, commands, "
        "plug-ins): used after you agreed to it, or never",
        '"ask" or "never"',
        "ask",
    ),
    "audit": Key(
        "what the audit log holds of prompts, replies and outputs: hashes, or their texts, too",
        '"hashes", "texts" or "off" (no log)',
        "hashes",
    ),
    "audit_days": Key(
        "days that a session stays in the audit log; 0: for ever",
        "a whole number from 0 to 36500",
        0,
    ),
    "audit_bytes": Key(
        "bytes that the audit log may take, the oldest sessions go first; 0: no bound",
        "a whole number, 0 or more",
        1 << 30,
    ),
    "roles": Key(
        "models for single jobs: small (titles, commit messages), planner (choices while planning)",
        "a table with main, small and planner, each a model's id",
        MappingProxyType({}),
    ),
    "fallback": Key(
        "models that take over, in this order, when one fails", "a list of models' ids", ()
    ),
    "theme": Key(
        "colours of the terminal; auto: dark, or light where the terminal tells so (COLORFGBG)",
        '"auto", "dark", "light", "high-contrast" or "none"',
        "auto",
    ),
    "edit_mode": Key("keys that edit the input line", '"emacs" or "vi"', "emacs"),
    "keys": Key(
        "other keys for the session's actions (/keys lists both)",
        'a table such as { expand = "c-t", editor = "f4 | c-x c-e" }',
        MappingProxyType({}),
    ),
    "status_line": Key(
        "what the line under the prompt tells, the most important first",
        "a list of mode, model, planner, window, speed, reused, sandbox, branch, check, session, "
        "time",
        DEFAULT_STATUS,
    ),
    "permissions": Key(
        "rules on what may be done without asking",
        '[[permissions]] tables with action = "allow", "ask" or "deny", tool and match',
        (),
    ),
}

NUMBERS = (
    *("max_seconds", "max_tokens", "check_seconds", "search_seconds", "threads", "window"),
    *("gpu_layers", "nice", "memory_bytes", "kv_cache_bytes"),
    *("silence_seconds", "candidates", "checkpoint_bytes", "audit_days", "audit_bytes"),
)
TABLES = ("roles", "keys")
"""Settings that are tables, whose entries can be set one by one."""
RULE_KEYS = ("action", "tool", "match")
ROLES = ("main", "small", "planner")
StatusPart = Literal[
    "mode",
    "model",
    "planner",
    "window",
    "speed",
    "reused",
    "sandbox",
    "branch",
    "check",
    "session",
    "time",
]
Action = Literal["allow", "ask", "deny"]
_Text = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00-\x1f\x7f]+$")]
_PLANNER = r"^(workflow|react|plugin:[a-z][a-z0-9_]{0,39})$"
_Port = Annotated[int, Field(ge=1024, le=65535)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RuleTable(BaseModel):
    """One `[[permissions]]` table; `match` is a pattern for paths or commands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action
    tool: _Text = "*"
    match: _Text = "*"


class Values(BaseModel):
    """What one source says; None means that it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: _Text | None = None
    roles: dict[Literal["main", "small", "planner"], _Text] | None = None
    fallback: tuple[_Text, ...] | None = None
    planner: Annotated[str, Field(pattern=_PLANNER)] | None = None
    mode: Literal["plan", "ask", "auto-edit", "auto"] | None = None
    check: _Text | None = None
    max_seconds: _Seconds | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    check_seconds: _Seconds | None = None
    search_seconds: _Seconds | None = None
    sandbox: Literal["auto", "unshare", "bubblewrap", "landlock", "none"] | None = None
    sandbox_ports: Annotated[tuple[_Port, ...], Field(max_length=16)] | None = None
    threads: Annotated[int, Field(ge=0, le=1024)] | None = None
    gpu_layers: Annotated[int, Field(ge=0, le=10_000)] | None = None
    nice: Annotated[int, Field(ge=0, le=19)] | None = None
    memory_bytes: Annotated[int, Field(ge=256 << 20)] | None = None
    kv_cache_bytes: Annotated[int, Field(ge=0)] | None = None
    window: Annotated[int, Field(ge=1024, le=1 << 20)] | None = None
    silence_seconds: Annotated[float, Field(ge=5, allow_inf_nan=False)] | None = None
    ollama_host: _Text | None = None
    candidates: Annotated[int, Field(ge=1, le=64)] | None = None
    checkpoint_bytes: Annotated[int, Field(ge=1 << 20)] | None = None
    project_files: Literal["ask", "never"] | None = None
    audit: Literal["hashes", "texts", "off"] | None = None
    audit_days: Annotated[int, Field(ge=0, le=36_500)] | None = None
    audit_bytes: Annotated[int, Field(ge=0)] | None = None
    theme: Literal["auto", "dark", "light", "high-contrast", "none"] | None = None
    edit_mode: Literal["emacs", "vi"] | None = None
    keys: dict[str, str] | None = None
    status_line: tuple[StatusPart, ...] | None = None
    permissions: tuple[RuleTable, ...] | None = None

    @field_validator("roles", "keys", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        """A variable's text: "small=ID, planner=ID"."""
        if not isinstance(value, str):
            return value
        pairs = (part.partition("=") for part in value.split(",") if part.strip())
        return {role.strip(): model.strip() for role, _, model in pairs}

    @field_validator("fallback", "status_line", "sandbox_ports", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        """A variable's text: "ID, ID"."""
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]


def read_file(path: Path) -> dict[str, Any]:
    """The validated values of a settings file; empty where there is no such file.

    Raises ConfigError with the file, the key and what is allowed.
    """
    try:
        if not path.exists():
            return {}
        if not path.is_file():
            raise ConfigError(f"{path} is not a file", "settings are read from a TOML file")
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES >> 10} KiB")
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    return validated(table, str(path), strict=True)


def validated(table: Mapping[str, Any], where: str, *, strict: bool) -> dict[str, Any]:
    """The values of `table` that are set, checked. `where` names the source in an error.

    `strict` is for files, which have types; elsewhere every value begins as text.
    """
    for key in table:
        if key not in KEYS:
            raise unknown_key(key, where, KEYS)
    if strict:
        _check_types(table, where)
    try:
        found = Values.model_validate(dict(table))
    except ValidationError as error:
        raise _bad_value(error, where, table) from None
    values = {key: value for key in KEYS if (value := getattr(found, key)) is not None}
    if "roles" in values:
        _take_main(values, where)
    return values


def _take_main(values: dict[str, Any], where: str) -> None:
    """`main` in roles is `model` by another name, so it becomes that."""
    roles = dict(values.pop("roles"))
    main = roles.pop("main", None)
    if main is not None and values.setdefault("model", main) != main:
        raise ConfigError(
            f"{where}: model is {values['model']!r} and main in roles is {main!r}",
            "they mean the same; set one of them",
        )
    if roles:
        values["roles"] = roles


def unknown_key(key: str, where: str, known: Mapping[str, object] | tuple[str, ...]) -> ConfigError:
    """The error for a key that does not exist, with the nearest one."""
    near = difflib.get_close_matches(key, list(known), 1)
    hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known)}"
    return ConfigError(f"{where}: there is no setting {key!r}", hint)


def _check_types(table: Mapping[str, Any], where: str) -> None:
    """Refuse text and truth values where a number belongs, and text where a table or a list does:
    pydantic would convert them."""
    for key, value in table.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if (key in NUMBERS and not number) or (
            key in (*TABLES, "fallback", "status_line", "sandbox_ports") and isinstance(value, str)
        ):
            raise _wrong(key, value, where)


def _bad_value(error: ValidationError, where: str, table: Mapping[str, Any]) -> ConfigError:
    first = error.errors(include_url=False, include_context=False)[0]
    place = first["loc"]
    key = str(place[0])
    if key == "roles" and len(place) > 2:
        return unknown_key(str(place[1]), f"{where}: roles", ROLES)
    if key == "permissions" and len(place) > 2:
        field = str(place[2])
        where = f"{where}: [[permissions]] number {int(place[1]) + 1}"
        if field not in RULE_KEYS:
            return unknown_key(field, where, RULE_KEYS)
        given = "missing" if first["type"] == "missing" else repr(first["input"])
        allowed = '"allow", "ask" or "deny"' if field == "action" else "a text that is not empty"
        return ConfigError(f"{where}: {field} is {given}", f"it must be {allowed}")
    return _wrong(key, table[key], where)


def _wrong(key: str, value: object, where: str) -> ConfigError:
    shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "…"
    return ConfigError(f"{where}: {key} is {shown}", f"it must be {KEYS[key].allowed}")
