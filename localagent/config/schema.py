"""The settings: this module declares each setting with its type, default, help and range.

Validation, `localagent config show`, the flags of `localagent run` and the table of docs/config.md
are made from the fields of `Settings`. This module imports nothing heavy, since each `--help`
imports the module.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from localagent.config.kinds import (
    ChoiceKind,
    Items,
    Rules,
    Seconds,
    SettingKind,
    Table,
    TextKind,
    Whole,
    unknown_key,
)
from localagent.config.policy import MAX_DAYS, Policy
from localagent.core.errors import ConfigError

if TYPE_CHECKING:
    from localagent.core.events import Mode
    from localagent.permissions.rules import Rule

_MAX_BYTES = 256 << 10  # size limit of a settings file
_NOTHING: Mapping[str, str] = MappingProxyType({})
_PORT = Whole(1024, 65535)
_PLANNER = r"workflow|react|plugin:[a-z][a-z0-9_]{0,39}"
STATUS_PARTS = (
    *("mode", "model", "planner", "window", "speed", "reused"),
    *("sandbox", "branch", "check", "session", "time"),
)
DEFAULT_STATUS = (
    *("mode", "model", "sandbox", "window", "speed"),
    *("branch", "planner", "reused", "time"),
)

Project = Literal["", "any", "lower", "stricter", "proposes", "narrows"]
"""The right of a project's file over a setting: no right, set any value, set only a lower or a
stricter value, propose a value, or add rules that ask or deny."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. The user, the environment and the policy may set every setting.

    `unit` is "bytes", or "tokens" if the key does not name the unit. `flag` is the option of
    `localagent run` for this setting, or "". `page` is the page of the docs on this setting, or "".
    """

    key: str
    kind: SettingKind
    help: str
    default: Any
    unit: str = ""
    flag: str = ""
    project: Project = ""
    page: str = ""

    @property
    def allowed(self) -> str:
        """A description of the allowed values."""
        return self.kind.allowed

    @property
    def summary(self) -> str:
        """The first part of the help, in a few words."""
        return self.help.partition(";")[0]

    def format(self, value: object) -> str:
        """A value in the form for users: "2.1 GB (2147483648)"."""
        if value is None:
            return "(unset)"
        if isinstance(value, Mapping):
            return ", ".join(f"{name} = {each}" for name, each in value.items()) or "(unset)"
        if isinstance(value, tuple):
            return ", ".join(map(str, value)) or "(none)"
        if isinstance(value, str):
            return f'"{value}"'
        if self.unit == "bytes" and isinstance(value, int) and value >= 1_000_000:
            size, unit = (value / 1e9, "GB") if value >= 1e9 else (value / 1e6, "MB")
            return f"{size:.1f} {unit} ({value})"
        return f"{value:g} {self.unit}".rstrip() if isinstance(value, int | float) else str(value)


def _setting(
    kind: SettingKind,
    text: str,
    default: Any = None,
    *,
    unit: str = "",
    flag: bool = False,
    project: Project = "",
    page: str = "",
) -> Any:
    """A dataclass field for one setting; `Setting` explains the arguments."""
    about = {"kind": kind, "help": text, "unit": unit, "flag": flag, "project": project}
    about["page"] = page
    if isinstance(default, Mapping):
        return field(default_factory=lambda: default, metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; None means that the model's profile or the machine decides.

    The last four fields are not settings. `project_permissions` add to `permissions` and only
    narrow them. The project proposes `proposed_check`. `warnings` name the ignored values.
    `sources` name the source of each value.
    """

    model: str | None = _setting(
        TextKind("a model's id"),
        "id of the model in models.lock; unset: the default model",
        flag=True,
    )
    planner: str | None = _setting(
        TextKind('"workflow" or "react", or "plugin:NAME"', _PLANNER),
        "how the agent plans its work; unset: the planner of the model's profile",
        flag=True,
        project="any",
    )
    mode: Mode = _setting(  # noqa: RUF009
        ChoiceKind("plan", "ask", "auto-edit", "auto"),
        "what runs without asking; plan: read only; ask: ask before edits and commands; "
        "auto-edit: edit without asking; auto: also run commands",
        "ask",
        flag=True,
        project="stricter",
    )
    check: str | None = _setting(
        TextKind("a command line that is not empty"),
        "command that decides whether a task is solved; unset: found in the project (pytest, npm "
        "test, go test, cargo test, make test)",
        flag=True,
        project="proposes",
    )
    max_seconds: float | None = _setting(
        Seconds(), "time limit of a turn", flag=True, project="lower"
    )
    max_tokens: int | None = _setting(
        Whole(1), "most tokens that a turn generates", flag=True, project="lower"
    )
    check_seconds: float = _setting(Seconds(), "time limit of one check", 120.0)
    search_seconds: float = _setting(
        Seconds(), "time limit of the workflow planner's search", 600.0
    )
    sandbox: str | None = _setting(
        ChoiceKind("auto", "unshare", "bubblewrap", "landlock", "seccomp", "none"),
        "sandbox of commands; auto or unset: the best kind that works here",
        flag=True,
        page="sandbox",
    )
    sandbox_ports: tuple[int, ...] = _setting(
        Items(
            _PORT,
            "a list of at most 16 numbers from 1024 to 65535, without that of ollama_host",
            most=16,
        ),
        "ports of 127.0.0.1 that sandboxed commands may connect to (a test database); none: no "
        "network",
        (),
    )
    threads: int = _setting(
        Whole(0, 1024), "threads of the model process; 0: one for each physical core", 0
    )
    gpu_layers: int | None = _setting(
        Whole(0, 10_000), "layers of the model on the GPU; unset: as many as fit"
    )
    nice: int = _setting(Whole(0, 19), "nice value of the model process", 0)
    memory_bytes: int | None = _setting(
        Whole(256 << 20), "most memory that a model takes; unset: what is free", unit="bytes"
    )
    kv_cache_bytes: int = _setting(
        Whole(0), "disk space for the KV cache of prompts; 0: no cache", 2 << 30, unit="bytes"
    )
    window: int | None = _setting(
        Whole(1024, 1 << 20),
        "size of the context window; unset: that of the model's profile",
        unit="tokens",
    )
    silence_seconds: float = _setting(
        Seconds(5), "silence after which a model counts as hung", 120.0
    )
    ollama_host: str = _setting(
        TextKind("an address such as http://127.0.0.1:11434"),
        "address of the Ollama server, on this machine only; OLLAMA_HOST is not read",
        "http://127.0.0.1:11434",
        page="models",
    )
    server_keys: Mapping[str, str] = _setting(
        Table('a table of hosts and files, such as "gpu.example" = "~/.config/localagent/gpu.key"'),
        "files with the keys of model servers, by host or host:port; only you may read them",
        _NOTHING,
        page="servers",
    )
    server_ca: str | None = _setting(
        TextKind("the path of a file"),
        "file with the certificates that servers with https must have; unset: the system's",
        page="servers",
    )
    candidates: int | None = _setting(
        Whole(1, 64), "changes that a search tries; unset: as the model's profile says"
    )
    checkpoint_bytes: int = _setting(
        Whole(1 << 20), "disk space for the undo of one session", 512 << 20, unit="bytes"
    )
    project_files: str = _setting(
        ChoiceKind("ask", "never"),
        "whether a project's AGENTS.md, prompts, commands and plug-ins are used: after you agree "
        "to their text, or never",
        "ask",
        page="extending",
    )
    audit: str = _setting(
        ChoiceKind("hashes", "texts", "off"),
        "what the audit log stores of prompts, replies and outputs; off: no log",
        "hashes",
        page="audit",
    )
    audit_days: int = _setting(
        Whole(0, MAX_DAYS), "how long the audit log keeps a session; 0: no expiry", 0
    )
    audit_bytes: int = _setting(
        Whole(0),
        "size limit of the audit log, which drops the oldest sessions first; 0: no limit",
        1 << 30,
        unit="bytes",
    )
    roles: Mapping[str, str] = _setting(
        Table(
            "a table with main, small, planner and repair, each a model's id",
            *("main", "small", "planner", "repair"),
        ),
        "models for single jobs: small (titles, commit messages), planner (choices while planning),"
        " repair (the end of a search)",
        _NOTHING,
        page="models",
    )
    fallback: tuple[str, ...] = _setting(
        Items(TextKind("a model's id"), "a list of models' ids"),
        "models that take over, in this order, when one fails",
        (),
        page="models",
    )
    theme: str = _setting(
        ChoiceKind("auto", "dark", "light", "high-contrast", "none"),
        "colors of the terminal; auto: dark, or light where COLORFGBG says so",
        "auto",
    )
    edit_mode: str = _setting(ChoiceKind("emacs", "vi"), "key bindings of the input line", "emacs")
    keys: Mapping[str, str] = _setting(
        Table('a table such as { expand = "c-t", editor = "f4 | c-x c-e" }'),
        "other keys for the session's actions; /keys lists both",
        _NOTHING,
        page="terminal",
    )
    status_line: tuple[str, ...] = _setting(
        Items(ChoiceKind(*STATUS_PARTS), f"a list of {', '.join(STATUS_PARTS)}"),
        "parts of the line under the prompt, the most important first",
        DEFAULT_STATUS,
    )
    permissions: tuple[Rule, ...] = _setting(
        Rules('[[permissions]] tables with action = "allow", "ask" or "deny", tool and match'),
        "rules that allow, ask about or deny actions",
        (),
        project="narrows",
    )
    project_permissions: tuple[Rule, ...] = ()
    proposed_check: str | None = None
    warnings: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    policy: Policy = field(default_factory=Policy)

    def source(self, key: str) -> str:
        """The source of the value of `key`: "default", a file, a variable or a flag."""
        return self.sources.get(key, "default")


def _declared() -> dict[str, Setting]:
    """All settings by key, in the order of the fields of `Settings`."""
    settings = {}
    for each in fields(Settings):
        if about := dict(each.metadata):
            factory = each.default_factory
            default = each.default if factory is MISSING else factory()
            about["flag"] = f"--{each.name.replace('_', '-')}" if about["flag"] else ""
            settings[each.name] = Setting(each.name, default=default, **about)
    return settings


SETTINGS = _declared()


def read_file(path: Path) -> dict[str, Any]:
    """The validated values of a settings file; empty if there is no such file.

    Raises ConfigError; its message names the file, the key and the allowed values.
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
    except ValueError as error:  # also a number with too many digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply") from None
    return validated(table, str(path), strict=True)


def validated(table: Mapping[str, Any], where: str, *, strict: bool) -> dict[str, Any]:
    """The checked values of `table`, in the order of the settings. `where` names the source.

    `strict` is for files, whose values have types; in other sources every value begins as text.
    Raises ConfigError.
    """
    for key in table:
        if key not in SETTINGS:
            raise unknown_key(key, where, SETTINGS)
    values = {}
    for key, setting in SETTINGS.items():
        if table.get(key) is not None:
            try:
                values[key] = setting.kind.read(table[key], where, strict=strict)
            except ValueError:
                given = repr(table[key])
                given = given if len(given) < 80 else f"{given[:77]}…"
                hint = f"it must be {setting.allowed}"
                raise ConfigError(f"{where}: {key} is {given}", hint) from None
    if "roles" in values:
        _move_main_role(values, where)
    return values


def _move_main_role(values: dict[str, Any], where: str) -> None:
    """Move `main` in `roles` to `model`, since both name the main model. Raises ConfigError."""
    roles = values.pop("roles")
    main = roles.pop("main", None)
    if main is not None and values.setdefault("model", main) != main:
        raise ConfigError(
            f"{where}: model is {values['model']!r} and main in roles is {main!r}",
            "they mean the same; set one of them",
        )
    if roles:
        values["roles"] = roles
