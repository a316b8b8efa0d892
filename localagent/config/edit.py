"""Change one value of a settings file; check the whole new content before it is written.

Comments and order of the file stay. The user cannot change a setting that the policy locks, since
the change would have no effect.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import items

from localagent.config import policy as policies
from localagent.config.kinds import Table, unknown_key
from localagent.config.policy import Policy
from localagent.config.schema import SETTINGS, read_file, validated
from localagent.config.settings import not_for_projects
from localagent.core.atomic import PRIVATE, write_atomic
from localagent.core.errors import ConfigError
from localagent.core.locks import locked
from localagent.core.paths import private

_EDIT = "localagent config edit opens the file in your editor"


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The user's settings file or, with `project`, a workspace's. The file may not exist."""

    path: Path
    project: bool = False

    def text(self) -> str:
        """The file's content; "" if there is no file. Raises ConfigError."""
        read_file(self.path)  # raises ConfigError for wrong content
        try:
            return self.path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from None

    def check(self, text: str) -> None:
        """Raise ConfigError unless `text` is valid content of a settings file."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{self.path} would not be valid TOML after this change: {error}"
            ) from None
        values = validated(table, str(self.path), strict=True)
        if self.project:
            not_for_projects(values, self.path)

    def write(self, text: str) -> None:
        """Replace the file's content by `text`, as a whole. Raises ConfigError."""
        self.check(text)
        target = self._target()
        try:
            if self.project:
                target.parent.mkdir(exist_ok=True)
            else:
                private(target.parent)
            mode = target.stat().st_mode & 0o777 if target.exists() else PRIVATE
            write_atomic(target, text, mode=mode)
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror}") from None

    def _target(self) -> Path:
        """The file to write: the target of a user's link. A project's link raises ConfigError."""
        if self.project and (self.path.is_symlink() or self.path.parent.is_symlink()):
            raise ConfigError(f"{self.path} is a link", "replace the link by a regular file")
        return self.path.resolve()


def set_value(file: SettingsFile, key: str, text: str, policy: Policy | None = None) -> Any:
    """Set `key` ("mode", "roles.small") to the value of `text`, and return the value.

    Raises ConfigError for an unknown key, a wrong value, or a setting that the policy locks.
    """
    top, inner = _split(key)
    given = {top: {inner: text} if inner else text}
    values = validated(
        given, "config set", strict=False
    )  # `validated` returns "roles.main" as "model"
    for name in values:
        _ensure_free(name, policy)

    def change(before: str) -> str:
        for name, value in values.items():
            if isinstance(value, Mapping):
                before = before if inner else without(before, (name,))
                for entry, each in value.items():
                    before = with_value(before, (name, entry), each)
            else:
                before = with_value(before, (name,), value)
        return before

    _change(file, change)
    return next(iter(values.values()))


def unset_value(file: SettingsFile, key: str) -> bool:
    """Remove `key` from the file; return False if the file lacks `key`. Raises ConfigError."""
    top, inner = _split(key)
    path = (top, inner) if inner else (top,)
    return _change(file, lambda before: without(before, path))


def locked_by(key: str, policy: Policy | None = None) -> Path | None:
    """The policy file that locks `key`, or None. Permission rules add up, so none locks them."""
    ruling = policies.in_force() if policy is None else policy
    found = [file for file, table in ruling.settings.items() if key in table]
    return found[-1] if found and key != "permissions" else None


def _split(key: str) -> tuple[str, str]:
    """The parts of `key`: a setting, and the entry of a table or "". Raises ConfigError."""
    top, _, inner = key.partition(".")
    if top not in SETTINGS:
        raise unknown_key(top, "config set", SETTINGS)
    if inner and not isinstance(SETTINGS[top].kind, Table):
        raise ConfigError(
            f"{top} is a single value and has no entry {inner!r}", f"it is {SETTINGS[top].allowed}"
        )
    if top == "permissions":
        raise ConfigError(
            "permissions are a list of rules, not one value",
            f"{_EDIT}; localagent docs config explains rules",
        )
    return top, inner


def _ensure_free(key: str, policy: Policy | None) -> None:
    ruling = policies.in_force() if policy is None else policy
    file = locked_by(key, ruling)
    if file is not None:
        raise ConfigError(
            f"{key} is locked: the administrator's policy {file} sets it to "
            f"{toml_value(ruling.settings[file][key])}",
            "only the administrator of this machine can change it",
        )


def _change(file: SettingsFile, change: Callable[[str], str]) -> bool:
    with _held(file):
        before = file.text()
        try:
            after = change(before)
        except ValueError as error:
            raise ConfigError(f"{file.path}: {error}", _EDIT) from None
        if after != before:
            file.write(after)
    return after != before


@contextmanager
def _held(file: SettingsFile) -> Iterator[None]:
    """Hold the lock of the user's file inside the block; a project's file has no lock."""
    if file.project:
        yield
        return
    try:
        lock = private(file.path.parent) / ".config.lock"
    except OSError as error:
        raise ConfigError(f"cannot create {file.path.parent}: {error.strerror}") from None
    with locked(lock):
        yield


def toml_value(value: object) -> str:
    """A value in TOML syntax."""
    return str(tomlkit.item(_plain(value)).as_string())


def _plain(value: object) -> Any:
    """A value in a type that TOML has; 900.0 becomes 900."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def with_value(text: str, path: Sequence[str], value: object) -> str:
    """`text` with the value at `path` (one or two keys) set to `value`; all other text stays.

    A new key follows the other keys of its table. Raises ValueError if `text` is not TOML, or if
    another value would change too.
    """
    value = _plain(value)
    document = table = _document(text)
    expected = before = tomllib.loads(text)
    for key in path[:-1]:
        expected = expected.setdefault(key, {})
        if key not in table:
            table[key] = tomlkit.table()
        table = table[key]
    expected[path[-1]] = value
    if path[-1] in table or isinstance(table, items.InlineTable):
        table[path[-1]] = value
    else:
        _insert(table, path[-1], value)
    return _dumps(document, text, before)


def without(text: str, path: Sequence[str]) -> str:
    """`text` without the value at `path`; unchanged if `path` has no value.

    A comment at the end of the value's line is removed too. Raises ValueError as `with_value` does.
    """
    document = table = _document(text)
    expected = before = tomllib.loads(text)
    for key in path[:-1]:
        expected, table = expected.get(key, {}), table.get(key, {})
    if path[-1] not in expected:
        return text
    del expected[path[-1]], table[path[-1]]
    return _dumps(document, text, before)


def _document(text: str) -> Any:
    """The document of `text`, with comments; every line ends in LF, also the last line."""
    text = text.replace("\r\n", "\n")
    return tomlkit.parse(text if not text or text.endswith("\n") else f"{text}\n")


def _insert(table: Any, key: str, value: object) -> None:
    """Insert a new key after the last simple value of `table`, or above its first header.

    A comment directly above a header belongs to the header, so the key goes above the comment.
    """
    body = table.value.body if isinstance(table, items.Table) else table.body
    item = tomlkit.item(value)
    item.trivia.trail = "\n"
    tables = [
        at for at, (_, entry) in enumerate(body) if isinstance(entry, items.Table | items.AoT)
    ]
    values = [at for at, (name, _) in enumerate(body) if name is not None and at not in tables]
    if values:
        at = values[-1] + 1
    elif tables:
        at = tables[0]
        while at and isinstance(body[at - 1][1], items.Comment):
            at -= 1
        item.trivia.trail = "\n\n"
    else:
        at = len(body)
    body.insert(at, (items.SingleKey(key), item))


def _dumps(document: Any, before: str, expected: dict[str, Any]) -> str:
    """The document with the line ends of `before`. Raises ValueError unless it means `expected`."""
    text = tomlkit.dumps(document)
    if tomllib.loads(text) != expected:
        raise ValueError("localagent cannot change a value that is written in this way")
    return text.replace("\n", "\r\n") if "\r\n" in before else text
