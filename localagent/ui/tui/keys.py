"""Key bindings: what can be done, with which keys, and how a setting names keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prompt_toolkit.key_binding.key_bindings import _parse_key
from prompt_toolkit.keys import Keys

from localagent.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a key does; `keys` are alternatives, each one key or several after another."""

    keys: tuple[str, ...]
    help: str


ACTIONS: dict[str, Action] = {
    "send": Action(("enter",), "send the line; with a completion picked: take it"),
    "newline": Action(("escape enter", "c-j"), "add a line (as a backslash before Enter does)"),
    "complete": Action(("tab",), "complete a command, file or symbol"),
    "stop": Action(("c-c",), "stop the model; with a draft: put it aside; twice: leave"),
    "leave": Action(("c-d",), "leave, where the line is empty"),
    "mode": Action(("s-tab",), "the next mode: plan, ask, auto-edit, auto"),
    "back": Action(("escape escape",), "go back to edit the last message, files as they were"),
    "expand": Action(("c-o",), "show the last output in full; again: the one before"),
    "editor": Action(("c-x c-e",), "write in your editor ($VISUAL, $EDITOR)"),
    "search": Action(("c-r",), "search what was entered here before"),
    "clear": Action(("c-l",), "clear the screen"),
    "suspend": Action(("c-z",), "put localagent to sleep (fg wakes it)"),
}

_NAMES = {
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "s-tab": "Shift-Tab",
    "space": "Space",
    "backspace": "Backspace",
}


def bindings(changed: Mapping[str, str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    """For each action its sequences of keys. `changed` is the setting `keys`: "c-x c-e", or
    alternatives with "|" between them; "" takes a binding away.

    Raises ConfigError for an unknown action or key.
    """
    for name in changed:
        if name not in ACTIONS:
            known = ", ".join(ACTIONS)
            raise ConfigError(f"keys: there is no action {name!r}", f"known are: {known}")
    found = {}
    for name, action in ACTIONS.items():
        words = (
            action.keys
            if name not in changed
            else [alternative for alternative in changed[name].split("|") if alternative.strip()]
        )
        found[name] = tuple(_sequence(name, word) for word in words)
    return found


def shown(keys: tuple[str, ...]) -> str:
    """A sequence of keys for people: "Ctrl-X Ctrl-E", "Alt-Enter"."""
    if len(keys) == 2 and keys[0] == "escape" and keys[1] != "escape":
        return f"Alt-{_shown(keys[1])}"
    return " ".join(_shown(key) for key in keys)


def rows(bound: Mapping[str, tuple[tuple[str, ...], ...]]) -> list[tuple[str, str, str]]:
    """(action, its keys, what it does), for a table."""
    return [
        (name, ", ".join(shown(keys) for keys in bound[name]) or "-", action.help)
        for name, action in ACTIONS.items()
    ]


def _sequence(name: str, word: str) -> tuple[str, ...]:
    keys = tuple(word.split())
    for key in keys:
        try:
            _parse_key(key)
        except ValueError:
            raise ConfigError(
                f"keys: {name} names {key!r}, which is no key",
                'keys are written such as "c-x c-e", "escape enter", "s-tab", "f2"',
            ) from None
    return keys


def _shown(key: str) -> str:
    if key in _NAMES:
        return _NAMES[key]
    if key.startswith("c-"):
        return f"Ctrl-{key[2:].upper()}"
    if key.startswith("s-"):
        return f"Shift-{key[2:].capitalize()}"
    return key.upper() if key in {k.value for k in Keys} else key
