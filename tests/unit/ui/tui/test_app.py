"""The interactive session as a whole, in memory: keys, output, dialogs, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fake_chat import QUESTION, FakeChat
from memory_session import MemorySession

from localagent.core.errors import ConfigError, UsageError
from localagent.core.events import (
    Answer,
    CandidateRejected,
    ModelReplied,
    ToolReturned,
    TurnFinished,
    TurnStarted,
)
from localagent.ui.chat.interface import Item, Output, PickerChoice, UIRequest
from localagent.ui.tui import front_end

Open = Callable[..., MemorySession]


def request(kind: str, text: str = "", choices: tuple[PickerChoice, ...] = ()) -> list[Item]:
    return [UIRequest(1, kind, text, "a title", choices), Output("text", "then this")]  # type: ignore[arg-type]


def test_a_line_runs_and_its_output_is_printed(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("what is it?\r")
        user.see("you said what is it?")

    one = session(FakeChat())
    assert one.run(steps) == 0
    assert one.chat.lines == ["what is it?"]
    assert one.chat.closed
    shown = one.shown
    assert "localagent 1.2.3" in shown
    assert "ask mode" in shown
    assert shown.endswith("to resume this session: localagent --resume a-session\n")


def test_the_first_line_is_entered_for_the_user(session: Open) -> None:
    one = session(FakeChat())
    one.tui._start = type(one.tui._start)(
        one.tui._start.workspace, "1", one.tui._start.prepare, one.tui._start.open_chat, "/resume"
    )
    one.run(lambda user: user.see("you said /resume"))
    assert one.chat.lines == ["/resume"]
    assert "> /resume" in one.shown  # FakeChat makes a turn of each line


def test_lines_entered_during_a_turn_wait_in_the_chat(session: Open) -> None:
    chat = FakeChat()
    chat._answers.append(chat.until_cancelled)

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("begin\r")
        user.see("it goes on")
        user.type("and this\r")
        user.see("then: and this")
        user.type("\x03")
        user.see("interrupted")
        user.until(lambda: user.tui.line.buffer.text == "and this", "back in the input line")

    one = session(chat)
    one.run(steps)
    assert one.chat.lines == ["begin"]
    assert one.tui.queued == []


def test_ctrl_c_takes_back_a_line_that_waits_for_the_session(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.type("too early\r")
        user.until(lambda: user.tui.agent.busy)
        user.type("\x03")
        user.until(lambda: user.tui.line.buffer.text == "too early", "back in the input line")
        user.opening.set()
        user.open()
        user.type("\r")
        user.see("you said too early")

    one = session(FakeChat())
    one.opening.clear()
    one.run(steps)
    assert one.chat.lines == ["too early"]


def test_ctrl_c_saves_the_draft_and_then_leaves(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("a draft")
        user.type("\x03")
        user.until(lambda: "Up brings it back" in user.tui.note)
        user.type("\x1b[A")
        user.until(lambda: user.tui.line.buffer.text == "a draft")
        user.type("\x03")
        user.until(lambda: not user.tui.line.buffer.text)
        user.type("\x03")
        user.until(lambda: "press Ctrl-C again" in user.tui.note)
        user.type("\x03")
        user.until(lambda: not user.tui.app.is_running)

    assert session(FakeChat()).run(steps) == 0


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("y", Answer(True)),
        ("N", Answer(False)),
        ("\x1b", Answer(False)),
        ("a", Answer(True, remember=True)),
        ("rtoo early\r", Answer(False, "too early")),
        ("e\x17other.txt\r", Answer(True, edited="touch other.txt")),
        ("e\r", Answer(True)),
        ("r\x03y", Answer(True)),
        ("xy", Answer(True)),
    ],
)
def test_a_question_is_answered(session: Open, keys: str, answer: Answer) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("do it\r")
        user.see("y  yes, run")
        for key in keys:
            user.type(key)
        user.see("after it")

    one = session(FakeChat([QUESTION, Output("text", "after it")]))
    one.run(steps)
    assert one.chat.answers == [answer]
    assert "may I run touch made.txt?" in one.shown


def test_a_key_meant_for_the_draft_is_no_answer(session: Open) -> None:
    chat = FakeChat([QUESTION, Output("text", "after it")])

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("do it\r")
        user.until(lambda: user.tui.dialogs.question)
        user.tui.line.replace("wh")
        user.tui.line.typed_at = float("inf")
        user.type("y")
        user.until(lambda: user.tui.line.buffer.text == "why")
        user.tui.line.typed_at = 0.0
        user.type("n")
        user.see("after it")

    session(chat).run(steps)
    assert [each.allowed for each in chat.answers] == [False]


def test_what_cannot_be_allowed_for_good_says_so(session: Open) -> None:
    chat = FakeChat([QUESTION, Output("text", "after it")])
    chat.remembered = ()

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("do it\r")
        user.see("y  yes, run")
        user.type("a")
        user.until(lambda: "localagent asks each time" in user.tui.note)
        user.type("n")
        user.see("after it")

    one = session(chat)
    one.run(steps)
    assert "always here" not in one.shown


def test_ctrl_c_stops_a_turn_that_asks(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("do it\r")
        user.see("y  yes, run")
        user.type("\x03")
        user.see("after it")

    one = session(FakeChat([QUESTION, Output("text", "after it")]))
    one.run(steps)
    assert one.chat.answers == []
    assert one.chat.cancelled.is_set()


@pytest.mark.parametrize(
    ("keys", "value"), [("\r", "one"), ("\x1b[B\r", "two"), ("k\r", "three"), ("q", None)]
)
def test_a_choice_is_picked(session: Open, keys: str, value: str | None) -> None:
    choices = tuple(PickerChoice(each, f"the {each}") for each in ("one", "two", "three"))

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("pick\r")
        user.see("Enter takes it")
        user.type(keys)
        user.see("then this")

    one = session(FakeChat(request("pick", choices=choices)))
    one.run(steps)
    assert one.chat.results == [value]


@pytest.mark.parametrize(
    ("kind", "text", "seen"),
    [
        ("theme", "light", "theme light; to keep it"),
        ("theme", "pink", "unknown theme 'pink'"),
        ("keys", "", "Ctrl-X Ctrl-E"),
        ("draft", "a draft", "> a draft"),
        ("clear", "", "then this"),
    ],
)
def test_requests_of_the_session(session: Open, kind: str, text: str, seen: str) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("go\r")
        user.see(seen)
        user.see("then this")

    one = session(FakeChat(request(kind, text)))
    one.run(steps)
    assert one.chat.results == [None]


def test_the_session_can_quit(session: Open) -> None:
    one = session(FakeChat(request("quit")))

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("/quit\r")
        user.until(lambda: not user.tui.app.is_running)

    assert one.run(steps) == 0


def test_the_editor_gets_the_draft_with_its_pastes(
    session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []

    def edit(text: str) -> str:
        texts.append(text)
        return "edited\n"

    monkeypatch.setattr(front_end, "open_editor", edit)
    paste = "\n".join(f"line {n}" for n in range(50))

    def steps(user: MemorySession) -> None:
        user.open()
        user.paste(paste)
        user.see("[pasted 50 lines]")
        user.type("\x18\x05")
        user.until(lambda: user.tui.line.buffer.text == "edited")

    session(FakeChat()).run(steps)
    assert texts == [paste]


def test_without_an_editor_there_is_an_error(
    session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(_text: str) -> str:
        raise UsageError("no editor found", "set VISUAL")

    monkeypatch.setattr(front_end, "open_editor", edit)

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("go\r")
        user.see("no editor found")
        user.see("then this")

    one = session(FakeChat(request("edit", "a text")))
    one.run(steps)
    assert one.chat.results == [None]


def test_a_folded_paste_is_deleted_whole_and_sent_whole(session: Open) -> None:
    paste = "\n".join(f"line {n}" for n in range(50))

    def steps(user: MemorySession) -> None:
        user.open()
        user.paste(paste)
        user.until(lambda: user.tui.line.buffer.text == "[pasted 50 lines]")
        user.type("\x7f")
        user.until(lambda: user.tui.line.buffer.text == "")
        user.paste(paste)
        user.type("\r")
        user.see("44 more lines")
        user.see("you said line 0")

    one = session(FakeChat())
    one.run(steps)
    assert one.chat.lines == [paste]


def test_a_line_can_have_several_rows(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("one\x1b\rtwo\\\rthree\r")
        user.see("you said one")

    one = session(FakeChat())
    one.run(steps)
    assert one.chat.lines == ["one\ntwo\nthree"]


def test_commands_and_files_are_completed(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("/he")
        user.see("help it")
        user.type("\t\r")
        user.see("you said /help")
        user.type("look at @calc_\x7f")
        user.see("calc_test.py")
        user.type("\t")
        user.until(lambda: user.tui.line.buffer.text == "look at @calc.py")

    session(FakeChat()).run(steps)


def test_an_output_is_expanded_and_then_the_one_before(session: Open) -> None:
    def returned(number: int, text: str) -> ToolReturned:
        return ToolReturned(number, "shell", True, text, f"$ seq {number}\n{text}")

    items: list[Item] = [returned(1, "first\nrest of 1"), returned(2, "second\nrest of 2")]

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("\x0f")
        user.until(lambda: "no output yet" in user.tui.note)
        user.type("go\r")
        user.see("the end")
        user.open()
        user.type("\x0f")
        user.see("rest of 2")
        user.type("\x0f")
        user.see("rest of 1")
        user.type("\x0f")
        user.until(lambda: "there is no other output" in user.tui.note)

    session(FakeChat([*items, Output("text", "the end")])).run(steps)


def go_back_over_a_turn(user: MemorySession) -> None:
    user.open()
    user.type("fix it\r")
    user.see("you said fix it")
    user.open()
    user.type("\x1b\x1b")


def test_esc_esc_goes_back_to_the_last_message(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        go_back_over_a_turn(user)
        user.see("back to before this message; it had changed no file")
        user.until(lambda: user.tui.line.buffer.text == "fix it")

    session(FakeChat()).run(steps)


@pytest.mark.parametrize(("key", "back"), [("y", True), ("n", False), ("\x1b", False)])
def test_esc_esc_asks_before_it_restores_files(session: Open, key: str, back: bool) -> None:
    def steps(user: MemorySession) -> None:
        go_back_over_a_turn(user)
        user.until(lambda: user.tui.dialogs.picker is not None)
        user.see("turn 1 (fix it) changed a.py, b.py")
        user.type(key)
        user.see("message; its changes are undone" if back else "nothing was restored")

    one = session(FakeChat())
    one.chat.changed = ("a.py", "b.py")
    one.run(steps)
    assert one.chat.lines == ([] if back else ["fix it"])


@pytest.mark.parametrize("sign", ["/", "#"])
def test_a_sign_typed_soon_after_esc_is_kept(session: Open, sign: str) -> None:
    """prompt_toolkit would take Esc and the sign for an Emacs key, and drop both."""

    def steps(user: MemorySession) -> None:
        user.open()
        user.type(f"\x1b{sign}cost")
        user.until(lambda: user.tui.line.buffer.text == f"{sign}cost")

    session(FakeChat()).run(steps)


def test_shift_tab_changes_the_mode(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("\x1b[Z")
        user.until(lambda: "auto-edit mode" in user.tui.status_text().plain)

    session(FakeChat()).run(steps)


def test_keys_and_edit_mode_of_the_settings(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("one two")
        user.until(lambda: user.tui.line.buffer.text == "one two")
        user.type("\x1b")
        user.until(lambda: user.tui.app.vi_state.input_mode == "vi-navigation", "navigation")
        user.type("0dw")
        user.until(lambda: user.tui.line.buffer.text == "two")
        user.type("\x1bOQ")
        user.until(lambda: "auto-edit mode" in user.tui.status_text().plain)

    session(FakeChat(), edit_mode="vi", keys={"mode": "f2"}).run(steps)


def test_a_wrong_setting_ends_the_session_with_its_error(session: Open) -> None:
    one = session(FakeChat(), keys={"explode": "f2"})
    with pytest.raises(ConfigError, match="unknown action 'explode'"):
        one.run(lambda user: user.until(lambda: not user.tui.app.is_running))


def test_a_fault_is_raised_once_the_terminal_is_restored(session: Open) -> None:
    def fault() -> Iterator[Item]:
        yield Output("text", "so far")
        raise RuntimeError("a fault of ours")

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("go\r")
        user.until(lambda: not user.tui.app.is_running)

    one = session(FakeChat(fault))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        one.run(steps)
    assert one.chat.closed


def test_the_last_turn_of_a_resumed_session_is_drawn(session: Open) -> None:
    reply = ModelReplied("answer", "It **adds**.", "stop", 9, 0, 3, 0.1, 0.1)
    end = TurnFinished(2, "answered", 0, "", "", "", [], 1.0, 9, 0, 3)
    one = session(FakeChat())
    one.recorded = [TurnStarted(1, "before"), TurnStarted(2, "what does add do?"), reply, end]
    one.run(lambda user: user.see("took 1.0 s"))
    shown = one.shown
    assert "> what does add do?" in shown
    assert "It adds." in shown
    assert "> before" not in shown


def test_a_question_mark_in_an_empty_line_shows_the_keys(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("?")
        user.see("Ctrl-X Ctrl-E")
        user.type("why?")
        user.until(lambda: user.tui.line.buffer.text == "why?")

    session(FakeChat()).run(steps)


def test_a_picker_begins_at_the_present_choice(session: Open) -> None:
    choices = tuple(PickerChoice(each, each) for each in ("one", "two", "three"))
    chat = FakeChat([UIRequest(1, "pick", "", "a title", choices, 1), Output("text", "then this")])

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("pick\r")
        user.see("Enter takes it")
        user.type("\r")
        user.see("then this")

    one = session(chat)
    one.run(steps)
    assert one.chat.results == ["two"]


def test_a_search_is_expanded_in_full(session: Open) -> None:
    search = [CandidateRejected(1, "no change"), CandidateRejected(2, "it was tried before")]

    def steps(user: MemorySession) -> None:
        user.open()
        user.type("go\r")
        user.see("the end")
        user.open()
        user.type("\x0f")
        user.see("the search: 2 candidates")
        user.see("candidate 1: no change")

    session(FakeChat([*search, Output("text", "the end")])).run(steps)


@pytest.mark.parametrize(("key", "note"), [("\t", "Shift-Tab changes"), ("\x14", "/plan shows")])
def test_keys_of_other_programs_name_what_does_it_here(session: Open, key: str, note: str) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type(key)
        user.until(lambda: note in user.tui.note)

    session(FakeChat()).run(steps)


def bottom(user: MemorySession) -> str:
    """The text of the input line and of the rows around it, as last drawn."""
    screen = user.tui.app.renderer.last_rendered_screen
    rows = screen.data_buffer if screen is not None else {}
    return "\n".join("".join(row[x].char for x in sorted(row)) for row in [*rows.values()])


def test_escape_keeps_the_earlier_input_that_a_search_found(session: Open) -> None:
    def steps(user: MemorySession) -> None:
        user.open()
        user.type("what does add do?\r")
        user.see("you said what")
        user.open()
        user.type("\x12add")
        user.see("search: add")
        user.until(lambda: "> what does add do?" in bottom(user), "no preview")
        user.type("\x1b")
        user.until(lambda: user.tui.line.buffer.text == "what does add do?")
        user.until(lambda: user.tui.line.buffer.cursor_position == len("what does add do?"))

    session(FakeChat()).run(steps)
