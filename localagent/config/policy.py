"""The administrator's policy, which no user, project, variable or flag can change.

The policy lies at fixed paths. No variable changes these paths, since a user could otherwise avoid
the policy. A packager can name one more path in the package (`BUILT_IN`). If the policy is
unreadable or wrong, nothing runs.

The policy may hold any setting (docs/config.md), and so lock the setting. The policy may also hold
the keys in `KEYS`.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from localagent.core.errors import ConfigError

BUILT_IN = Path(__file__).resolve().parents[1] / "policy.path"
"""A file in the package that contains the path of one more policy file."""

KEYS = ("offline", "allowed_hosts", "sandboxes", "audit_min_days")
"""The keys that only a policy may have."""

_MAX_BYTES = 256 << 10
MAX_DAYS = 36_500
"""The most days for which the audit log may have to keep a session: a century."""

_HINT = "ask the administrator of this machine to correct the policy; until then nothing runs"


@dataclass(frozen=True, slots=True)
class Policy:
    """The administrator's policy, read from `files`.

    `offline` refuses `models fetch`. `allowed_hosts` are model servers on other machines, "host"
    or "host:port". `sandboxes` are the allowed kinds of sandbox; empty means any. The audit log
    keeps every session for `audit_min_days`. `settings` maps each file to the settings that the
    file locks, before their check.
    """

    files: tuple[Path, ...] = ()
    offline: bool = False
    allowed_hosts: tuple[str, ...] = ()
    sandboxes: tuple[str, ...] = ()
    audit_min_days: int = 0
    settings: MappingProxyType[Path, dict[str, Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __str__(self) -> str:
        """The paths of the policy files, for users."""
        return ", ".join(map(str, self.files)) or "none"


_latched: Policy | None = None


def places() -> tuple[Path, ...]:
    """The paths of policy files; if two files lock the same setting, the last one wins.

    Raises ConfigError if the file `BUILT_IN` is unreadable or wrong.
    """
    if sys.platform == "win32":
        standard = Path("C:/ProgramData/localagent/policy.toml")
    else:
        standard = Path("/etc/localagent/policy.toml")
    try:
        named = BUILT_IN.read_text(encoding="utf-8").strip().splitlines()
    except FileNotFoundError:
        return (standard,)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{BUILT_IN} cannot be read: {error}", _HINT) from None
    if len(named) != 1 or not Path(named[0]).is_absolute():
        raise ConfigError(f"{BUILT_IN} must hold one absolute path", _HINT)
    return (standard, Path(named[0]))


def latch() -> Policy:
    """Read the policy, and keep it for the rest of this process. Raises ConfigError."""
    global _latched
    _latched = read(places())
    return _latched


def in_force() -> Policy:
    """The latched policy. Without a latch (localagent as a library), read the policy each time."""
    return _latched if _latched is not None else read(places())


def read(files: Sequence[Path]) -> Policy:
    """The policy that these files form together; a missing file is skipped.

    The policy allows only what every file allows. Raises ConfigError.
    """
    tables: dict[Path, dict[str, Any]] = {}
    for file in files:
        table = _table(file)
        if table is not None:
            tables[file] = table
    own = [{key: table.pop(key) for key in KEYS if key in table} for table in tables.values()]
    for file, table in zip(tables, own, strict=True):
        _check(file, table)
    return Policy(
        files=tuple(tables),
        offline=any(table.get("offline", False) for table in own),
        allowed_hosts=_common([t["allowed_hosts"] for t in own if "allowed_hosts" in t]),
        sandboxes=_common([t["sandboxes"] for t in own if "sandboxes" in t]),
        audit_min_days=max((table.get("audit_min_days", 0) for table in own), default=0),
        settings=MappingProxyType(tables),
    )


def _common(lists: list[list[str]]) -> tuple[str, ...]:
    """The items that all lists contain; () without lists. Raises ConfigError if none is common."""
    if not lists:
        return ()
    common = tuple(item for item in lists[0] if all(item in other for other in lists[1:]))
    if lists[0] and not common:
        raise ConfigError(f"no value is allowed by all policy files: {lists}", _HINT)
    return common


def _table(file: Path) -> dict[str, Any] | None:
    """The content of a policy file; None without a file. Raises ConfigError if it is unreadable."""
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", _HINT) from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{file} is larger than {_MAX_BYTES >> 10} KiB", _HINT)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", _HINT) from None


def _check(file: Path, table: dict[str, Any]) -> None:
    for key, value in table.items():
        if key == "offline":
            right, form = isinstance(value, bool), "true or false"
        elif key == "audit_min_days":
            right = type(value) is int and 0 <= value <= MAX_DAYS
            form = f"a whole number from 0 to {MAX_DAYS}"
        else:
            right = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
            form = "a list of texts"
            if key == "sandboxes":
                right, form = right and bool(value), "a list of sandbox kinds that is not empty"
        if not right:
            raise ConfigError(f"{file}: {key} is {value!r}; it must be {form}", _HINT)
