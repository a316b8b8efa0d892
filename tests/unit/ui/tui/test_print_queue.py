"""The lines above the prompt: their order, the live row, and a terminal that is stopped."""

from __future__ import annotations

import threading
from itertools import count

import pytest
from rich.text import Text

from localagent.ui.tui import print_queue
from localagent.ui.tui.print_queue import IDLE, PrintQueue
from localagent.ui.view import screen
from localagent.ui.view.format import ASCII


def queue(wake: object = None, width: int = 40) -> PrintQueue:
    result = PrintQueue(ASCII, colors=None, theme="none", wake=wake or (lambda: None))  # type: ignore[arg-type]
    result.resize(width)
    return result


def test_lines_are_taken_once_and_in_order() -> None:
    woken = count()
    one = queue(lambda: next(woken))
    one.line(Text("first"))
    one.line("second")
    assert next(woken) == 2
    assert one.take() == "first\nsecond\n"
    assert one.take() == ""


def test_lines_wrap_at_the_width_that_holds_now() -> None:
    one = queue(width=20)
    one.line(Text("words that do not fit into one row"))
    assert all(len(row) <= 20 for row in one.take().splitlines())
    one.resize(80)
    one.line(Text("words that do not fit into one row"))
    assert one.take().count("\n") == 1


def test_the_live_row_is_a_status_a_partial_row_or_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = queue(width=20)
    one.status("reading")
    assert one.live_text(0).plain == "| reading"
    assert one.live_text(1).plain == "/ reading"
    monkeypatch.setattr(screen, "_ELAPSED_AFTER_SECONDS", 0.0)
    assert one.live_text(0).plain == "| reading, 0.0 s"
    one.partial(Text("a row that is longer than the terminal"))
    assert one.live_text(0).cell_len == 19
    one.clear_status()
    assert one.live is IDLE
    assert one.live_text(0).plain == ""


def test_a_status_said_again_keeps_its_time() -> None:
    one = queue()
    one.status("reading")
    since = one.live.since
    one.status("reading")
    assert one.live.since == since


def test_a_thread_waits_while_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_queue, "MAX_WAITING", 10)
    one = queue()
    one.line("x" * 30)
    done = threading.Event()

    def draw() -> None:
        one.line("one more")
        done.set()

    thread = threading.Thread(target=draw)
    thread.start()
    assert not done.wait(0.1), "it does not wait"
    assert one.take() == "x" * 30 + "\n"
    assert done.wait(5)
    thread.join()
    assert one.take() == "one more\n"


def test_nothing_waits_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(print_queue, "MAX_WAITING", 10)
    one = queue()
    one.line("x" * 30)
    one.close()
    thread = threading.Thread(target=one.line, args=("one more",))
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_a_theme_holds_from_its_change_on() -> None:
    one = PrintQueue(ASCII, colors="standard", theme="none", wake=lambda: None)
    one.line(Text("bad", "bad"))
    one.set_theme("dark")
    one.line(Text("bad", "bad"))
    plain, colored = one.take().splitlines()
    assert plain == "bad"
    assert colored.startswith("\x1b[31m")
