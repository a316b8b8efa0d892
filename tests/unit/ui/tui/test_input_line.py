"""The input line: folded pastes, history, completion, and the draft."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_chat import FakeChat
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from localagent.ui.tui.input_line import (
    MAX_HISTORY_BYTES,
    ChatCompleter,
    InputLine,
    Pastes,
    completes_while_typing,
    history_file,
    open_history,
)


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


def test_a_history_that_cannot_be_written_stays_in_memory(
    workspace_dir: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "state").write_text("a file in the place of the folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    history = open_history(workspace_dir)
    history.append_string("entry")
    assert list(history.get_strings()) == ["entry"]


def test_a_draft_is_taken_whole_and_inserted_before_another(workspace_dir: Path) -> None:
    line = InputLine(workspace_dir, lambda: None)
    paste = "\n".join(f"line {n}" for n in range(50))
    line.replace(f"see {line.pastes.fold(paste)}")
    assert line.take() == f"see {paste}"
    assert line.buffer.text == ""
    assert list(line.history.get_strings()) == [f"see {paste}"]
    line.insert("first")
    assert (line.buffer.text, line.buffer.cursor_position) == ("first", 5)
    line.insert("before")
    assert line.buffer.text == "before\nfirst"
    line.insert("")
    assert line.buffer.text == "before\nfirst"


@pytest.mark.parametrize(
    ("text", "completes"),
    [("/he", True), ("/he\nmore", False), ("/etc/hosts", False), ("see @ca", True), ("a@b", False)],
)
def test_only_commands_and_mentions_complete_while_typing(text: str, completes: bool) -> None:
    assert completes_while_typing(text) is completes


@pytest.mark.parametrize(
    ("text", "completions"),
    [
        ("/u", ["/undo"]),
        ("/do", ["/undo", "/redo"]),  # no command begins with it; two contain it
        ("look at @calc", ["@calc.py", "@calc_test.py"]),
        ("look at @none", []),
        ("plain text", []),
    ],
)
def test_completions_come_from_the_chat(text: str, completions: list[str]) -> None:
    chat = FakeChat()
    completer = ChatCompleter(lambda: chat)  # type: ignore[arg-type,return-value]
    got = completer.get_completions(Document(text), CompleteEvent())
    assert [each.text for each in got] == completions


def test_before_the_chat_is_open_nothing_completes() -> None:
    completer = ChatCompleter(lambda: None)
    assert list(completer.get_completions(Document("/he"), CompleteEvent())) == []
