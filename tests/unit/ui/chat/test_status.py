"""The status follows a turn's events; the queue holds lines until the turn takes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.core.events import ModelReading, TextDelta
from localagent.ui.chat.chat import LineQueue, is_command
from localagent.ui.chat.status import Branch, StatusTracker


def test_messages_join_the_turn_up_to_the_first_command() -> None:
    queue = LineQueue()
    for line in ("  ", "first ", "second", "/undo", "third", "!ls"):
        queue.add(line)
    assert queue.take_messages() == ["first", "second"]
    assert queue.take_messages() == []
    assert queue.take() == "/undo"
    assert len(queue) == 2
    assert queue.take_all() == ["third", "!ls"]
    assert queue.take() is None


def test_a_path_is_no_command() -> None:
    assert is_command("/help me")
    assert not is_command("/etc/hosts is wrong")
    assert not is_command("help")


def test_reading_ends_where_all_is_read() -> None:
    tracker = StatusTracker()
    tracker.record(ModelReading(50, 200, 10, 3.0))
    assert (tracker.reading, tracker.seconds_left, tracker.reused) == (0.25, 3.0, 10)
    tracker.record(ModelReading(200, 200, 10, 0.0))
    assert (tracker.reading, tracker.seconds_left, tracker.window_used) == (None, None, 200)
    tracker.record(TextDelta("a"))
    tracker.record(TextDelta("b"))
    assert tracker.window_used == 202


def test_a_warm_up_counts_for_no_turn() -> None:
    tracker = StatusTracker()
    tracker.warming_up(0, 0)
    assert tracker.doing == "loading the model"
    tracker.warming_up(1, 4)
    assert (tracker.doing, tracker.reading) == ("reading ahead", 0.25)
    tracker.warmed_up()
    assert (tracker.doing, tracker.seconds) == ("", 0.0)


def test_the_branch_is_read_from_git_s_files(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/feature/x\n")
    assert Branch(folder).name() == "feature/x"
    (folder / ".git" / "HEAD").write_text("0123456789abcdef\n")
    assert Branch(folder).name() == "01234567"
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".git").write_text(f"gitdir: {folder / '.git'}\n")
    assert Branch(tree).name() == "01234567"


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_a_head_without_end_or_content_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    head = tmp_path / ".git" / "HEAD"
    head.symlink_to("/dev/zero")
    assert Branch(tmp_path).name() == ""
    head.unlink()
    os.mkfifo(head)
    assert Branch(tmp_path).name() == ""
