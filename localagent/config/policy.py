"""The administrator's policy: what no user, project, variable or flag of this machine can change.

It is read from fixed places. No variable moves them, since whoever can set one could otherwise
lift the policy; a packager can name one more place in the package itself (`BUILT_IN`). A policy
that cannot be read or is wrong is an error, and nothing runs.

Besides any setting (docs/config.md), which then is locked, it may hold the keys of `Policy`.
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
"""A file of the package whose first line is the path of one more policy file."""

KEYS = ("offline", "allowed_hosts", "sandboxes")
"""What only a policy may say."""

_MAX_BYTES = 256 << 10
_HINT = "ask the administrator of this machine to correct it; until then nothing runs"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the administrator says. `files` are those that were read.

    `offline`: `models fetch` is refused. `allowed_hosts`: servers beyond this machine that may be
    asked as Ollama, "host" or "host:port". `sandboxes`: the kinds of sandbox that commands may run
    in; none where it is empty means: any. `settings` maps a file to the settings that it locks, not
    yet checked.
    """

    files: tuple[Path, ...] = ()
    offline: bool = False
    allowed_hosts: tuple[str, ...] = ()
    sandboxes: tuple[str, ...] = ()
    settings: MappingProxyType[Path, dict[str, Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __str__(self) -> str:
        """The files, for people."""
        return ", ".join(map(str, self.files)) or "none"


_latched: Policy | None = None


def places() -> tuple[Path, ...]:
    """The files that may hold a policy; the later one wins where two set the same setting.

    Raises ConfigError where the package's own pointer cannot be read.
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
    """Read the policy, for the rest of this process. Raises ConfigError."""
    global _latched
    _latched = read(places())
    return _latched


def in_force() -> Policy:
    """The policy that was latched or, where this is used as a library, the one that is there."""
    return _latched if _latched is not None else read(places())


def read(files: Sequence[Path]) -> Policy:
    """The policy of these files, of which any may be missing; together they allow what each of
    them allows. Raises ConfigError."""
    found: dict[Path, dict[str, Any]] = {}
    for file in files:
        table = _table(file)
        if table is not None:
            found[file] = table
    own = [{key: table.pop(key) for key in KEYS if key in table} for table in found.values()]
    for file, table in zip(found, own, strict=True):
        _check(file, table)
    return Policy(
        files=tuple(found),
        offline=any(table.get("offline", False) for table in own),
        allowed_hosts=_common([t["allowed_hosts"] for t in own if "allowed_hosts" in t]),
        sandboxes=_common([t["sandboxes"] for t in own if "sandboxes" in t]),
        settings=MappingProxyType(found),
    )


def _common(lists: list[list[str]]) -> tuple[str, ...]:
    """What stands in all of the lists."""
    if not lists:
        return ()
    common = tuple(item for item in lists[0] if all(item in other for other in lists[1:]))
    if lists[0] and not common:
        raise ConfigError(f"the policy files allow nothing in common: {lists}", _HINT)
    return common


def _table(file: Path) -> dict[str, Any] | None:
    """The content of a file; None where there is none. What cannot be looked at is an error: a
    policy that is there and not read would be none."""
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
        else:
            right = isinstance(value, list) and all(isinstance(v, str) and v for v in value)
            form = "a list of texts"
            if key == "sandboxes":
                right, form = right and bool(value), "a list of sandbox kinds that is not empty"
        if not right:
            raise ConfigError(f"{file}: {key} is {value!r}; it must be {form}", _HINT)
