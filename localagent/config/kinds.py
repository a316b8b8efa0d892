"""The kinds of values that a setting may have; each kind reads and checks its values.

A file has types, so a value from a file must have the right type. A value from an environment
variable or a flag begins as text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from localagent.core.errors import ConfigError

if TYPE_CHECKING:
    from localagent.permissions.rules import Rule

_TEXT = re.compile(r"[^\x00-\x1f\x7f]{1,4096}")
_ACTIONS = ("allow", "ask", "deny")
_RULE_KEYS = ("action", "tool", "match")


class SettingKind:
    """A kind of value. `allowed` describes the allowed values for the user."""

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def read(self, value: object, where: str, *, strict: bool) -> Any:
        """The checked value. Raises ValueError, or ConfigError if a special message helps more."""
        raise NotImplementedError


class TextKind(SettingKind):
    """One line of text that is not empty, of the form `pattern`."""

    def __init__(self, allowed: str, pattern: str = "(?s:.*)") -> None:
        super().__init__(allowed)
        self._pattern = re.compile(pattern)

    def read(self, value: object, where: str, *, strict: bool) -> str:  # noqa: ARG002
        if not isinstance(value, str) or not _TEXT.fullmatch(value):
            raise ValueError
        if not self._pattern.fullmatch(value):
            raise ValueError
        return value


class ChoiceKind(SettingKind):
    """A value that is one of several words."""

    def __init__(self, *words: str) -> None:
        quoted = [f'"{word}"' for word in words]
        super().__init__(f"{', '.join(quoted[:-1])} or {quoted[-1]}")
        self.words = words

    def read(self, value: object, where: str, *, strict: bool) -> str:  # noqa: ARG002
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return value


class Whole(SettingKind):
    """A whole number of at least `least`, and at most `most`."""

    def __init__(self, least: int, most: int | None = None) -> None:
        bounds = f", {least} or more" if most is None else f" from {least} to {most}"
        super().__init__(f"a whole number{bounds}")
        self._least, self._most = least, most

    def read(self, value: object, where: str, *, strict: bool) -> int:  # noqa: ARG002
        number = int(value) if isinstance(value, str) and not strict else value
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if not isinstance(number, int) or isinstance(number, bool) or number < self._least:
            raise ValueError
        if self._most is not None and number > self._most:
            raise ValueError
        return number


class Seconds(SettingKind):
    """A time in seconds: more than 0, or at least `least`."""

    def __init__(self, least: float = 0) -> None:
        super().__init__(f"seconds, {least:g} or more" if least else "seconds, more than 0")
        self._least = least

    def read(self, value: object, where: str, *, strict: bool) -> float:  # noqa: ARG002
        number = float(value) if isinstance(value, str) and not strict else value
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise ValueError
        if not math.isfinite(number) or number <= 0 or number < self._least:
            raise ValueError
        return float(number)


class Items(SettingKind):
    """A list of values of one kind; the text form is "A, B"."""

    def __init__(self, item: SettingKind, allowed: str, most: int | None = None) -> None:
        super().__init__(allowed)
        self._item, self._most = item, most

    def read(self, value: object, where: str, *, strict: bool) -> tuple[Any, ...]:
        if isinstance(value, str) and not strict:
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError
        if self._most is not None and len(value) > self._most:
            raise ValueError
        return tuple(self._item.read(item, where, strict=strict) for item in value)


class Table(SettingKind):
    """A table of texts; the text form is "a=B, c=D". `keys` are the allowed entries, () for any."""

    def __init__(self, allowed: str, *keys: str) -> None:
        super().__init__(allowed)
        self._keys = keys

    def read(self, value: object, where: str, *, strict: bool) -> dict[str, str]:
        if isinstance(value, str) and not strict:
            pairs = (part.partition("=") for part in value.split(",") if part.strip())
            value = {key.strip(): text.strip() for key, _, text in pairs}
        if not isinstance(value, Mapping):
            raise ValueError
        for key in value:
            if self._keys and key not in self._keys:
                raise unknown_key(key, f"{where}: roles", self._keys)
        if not all(isinstance(text, str) and (text or not self._keys) for text in value.values()):
            raise ValueError
        return dict(value)


class Rules(SettingKind):
    """A list of permission rules, which `[[permissions]]` tables hold."""

    def read(self, value: object, where: str, *, strict: bool) -> tuple[Rule, ...]:  # noqa: ARG002
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise ValueError
        places = [
            f"{where}: [[permissions]] number {number}" for number in range(1, len(value) + 1)
        ]
        return tuple(map(_rule, value, places))


def _rule(table: dict[str, Any], where: str) -> Rule:
    from localagent.permissions.rules import Rule

    for key, value in table.items():
        if key not in _RULE_KEYS:
            raise unknown_key(key, where, _RULE_KEYS)
        if key != "action" and not (isinstance(value, str) and _TEXT.fullmatch(value)):
            hint = "it must be a text that is not empty"
            raise ConfigError(f"{where}: {key} is {value!r}", hint)
    action: Any = table.get("action")
    if action not in _ACTIONS:
        given = repr(action) if "action" in table else "missing"
        raise ConfigError(
            f"{where}: action is {given}", f"it must be {ChoiceKind(*_ACTIONS).allowed}"
        )
    return Rule(str(table.get("tool", "*")), str(table.get("match", "*")), action)


def unknown_key(key: str, where: str, known: Iterable[str]) -> ConfigError:
    """The error for an unknown key; the hint names the most similar key."""
    import difflib

    known = list(known)
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"the known names are: {', '.join(known)}"
    return ConfigError(f"{where}: unknown setting {key!r}", hint)
