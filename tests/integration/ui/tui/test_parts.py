"""Parts of the interactive session that need no terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from faulty_chat import STATUS

from localagent.config.schema import DEFAULT_STATUS
from localagent.core.errors import ConfigError
from localagent.tools.registry import standard_tools
from localagent.ui.tui.input_line import MAX_HISTORY_BYTES, Pastes, history_file, open_history
from localagent.ui.tui.keys import ACTIONS, key_name, key_table
from localagent.ui.tui.status_line import status_line
from localagent.ui.view.format import ASCII, UNICODE
from localagent.ui.view.reply_stream import call_start


def test_the_tools_whose_calls_are_told_in_one_line() -> None:
    assert all(call_start().match(f"```{name} path=x") for name in (*standard_tools(), "done"))
    assert not call_start().match("```python") and not call_start().match("```reader")


def test_a_long_paste_is_folded_and_put_back() -> None:
    pastes = Pastes()
    text = "\r\n".join(f"line {n}" for n in range(50))
    mark = pastes.fold(text)
    assert mark == "[pasted 50 lines]"
    other = pastes.fold("\n".join(f"other {n}" for n in range(50)))
    assert other == "[pasted 50 lines, 2]"
    assert pastes.unfold(f"a {mark} b {other}").startswith("a line 0\nline 1\n")
    assert "other 49" in pastes.unfold(other)
    assert pastes.fold("short\ntext") == "short\ntext"
    assert pastes.placeholder_length(f"x {mark}") == len(mark)
    assert pastes.placeholder_length("x [pasted 3 lines]") == 0, "typed by hand"


def test_keys_are_those_of_the_setting() -> None:
    bound = key_table({"mode": "f2 | c-t", "expand": ""})
    assert bound["mode"] == (("f2",), ("c-t",))
    assert bound["expand"] == ()
    assert bound["editor"] == (("c-x", "c-e"),)
    assert {key_name(keys) for keys in key_table({})["newline"]} == {"Alt-Enter", "Ctrl-J"}
    assert set(bound) == set(ACTIONS)


@pytest.mark.parametrize("changed", [{"nothing": "f2"}, {"mode": "f99x"}])
def test_a_wrong_key_is_told(changed: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        key_table(changed)
    assert caught.value.hint


def test_what_was_entered_is_kept_for_its_folder(workspace_dir: Path, tmp_path: Path) -> None:
    history = open_history(workspace_dir)
    for line in ("first", "second\nline", "second\nline", "x" * 30_000):
        history.append_string(line)
    assert list(open_history(workspace_dir).load_history_strings()) == ["second\nline", "first"]
    assert list(open_history(tmp_path).load_history_strings()) == []
    assert history_file(workspace_dir).stat().st_mode & 0o077 == 0


def test_a_long_history_loses_its_older_half(workspace_dir: Path) -> None:
    open_history(workspace_dir)
    entry = "\n# 2026-11-25\n+" + "y" * 1000 + "\n"
    file = history_file(workspace_dir)
    file.write_text("\n# 2026-11-24\n+oldest\n" + entry * (MAX_HISTORY_BYTES // 1000))
    kept = list(open_history(workspace_dir).load_history_strings())
    assert "oldest" not in kept
    assert kept[0] == "y" * 1000
    assert file.stat().st_size <= MAX_HISTORY_BYTES // 2


def test_the_status_line_keeps_what_was_named_first() -> None:
    status = replace(
        STATUS,
        window_used=900,
        tokens_per_second=12.0,
        branch="main",
        sandbox="bwrap",
        confined=True,
    )
    wide = status_line(status, DEFAULT_STATUS, 200, UNICODE).plain
    assert wide.startswith(
        " ask mode · toy (cpu) · context 900% · 12 tok/s · 🔒 sandboxed · main · react · "
    )
    assert status_line(status, DEFAULT_STATUS, 24, UNICODE).plain == " ask mode · toy (cpu)"
    assert (
        status_line(status, ("sandbox", "mode"), 80, ASCII).plain
        == " [locked] sandboxed - ask mode"
    )
    assert (
        status_line(replace(status, confined=False), ("sandbox",), 80, ASCII).plain == " no sandbox"
    )
