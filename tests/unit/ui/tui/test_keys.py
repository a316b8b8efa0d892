"""The setting of keys, and the names of keys on the screen."""

from __future__ import annotations

import pytest

from localagent.core.errors import ConfigError
from localagent.ui.tui.keys import ACTIONS, InputKeys, key_name, key_rows, key_table


def test_keys_are_those_of_the_setting() -> None:
    bound = key_table({"mode": "f2 | c-t", "expand": ""})
    assert bound["mode"] == (("f2",), ("c-t",))
    assert bound["expand"] == ()
    assert bound["editor"] == (("c-x", "c-e"),)
    assert {key_name(keys) for keys in key_table({})["newline"]} == {"Alt-Enter", "Ctrl-J"}
    assert set(bound) == set(ACTIONS)


@pytest.mark.parametrize("changed", [{"nothing": "f2"}, {"mode": "f99x"}])
def test_a_wrong_key_is_an_error_with_a_hint(changed: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        key_table(changed)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (("escape", "enter"), "Alt-Enter"),
        (("escape", "escape"), "Esc Esc"),
        (("c-x", "c-e"), "Ctrl-X Ctrl-E"),
        (("s-tab",), "Shift-Tab"),
        (("s-left",), "Shift-Left"),
        (("f2",), "F2"),
        (("q",), "q"),
    ],
)
def test_a_key_has_a_name(keys: tuple[str, ...], name: str) -> None:
    assert key_name(keys) == name


def test_every_action_has_a_handler_and_a_row() -> None:
    assert all(callable(getattr(InputKeys, f"_{name}")) for name in ACTIONS)
    rows = key_rows(key_table({"search": ""}))
    assert [row[0] for row in rows] == list(ACTIONS)
    assert ("search", "-", "search your earlier input") in rows
