"""The interactive session as a user sees it, in a real terminal. Replies are scripted.

`UPDATE_GOLDEN=1 python -m pytest tests/integration/ui/tui/test_session.py` writes the
screens anew; look at them (`cat tests/golden/terminal/*.txt`) before you keep them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tmux_terminal import PATIENCE, Tmux
from tui_replies import ANSWER, READING, SLOW, SOLUTION
from tui_screens import events, golden, outcomes, started, usable

from localagent.core.events import MessageAdded, ModelRequested, TurnStarted

CHECK = "grep -q 'a + b' calc.py"
WRITES = """--- reply
```write path=calc.py
def add(a, b):
    return a + b
```
--- reply
```done
add adds
```
"""
Open = Callable[..., Tmux]
Script = Callable[[str], str]


@pytest.mark.parametrize("width", [100, 40])
def test_a_question_is_answered(open_terminal: Open, scripted: Script, width: int) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=width, height=40)
    shown = terminal.ready()
    assert len(shown.split("\n\n")[0].splitlines()) <= 6
    golden(f"first-{width}", terminal)
    terminal.send("what does add do?")
    terminal.until("written")
    golden(f"answered-{width}", terminal)


def test_a_task_with_approval(open_terminal: Open, scripted: Script, workspace_dir: Path) -> None:
    words = ("--scripted", scripted(SOLUTION), "--check", CHECK, "--sandbox", "none")
    terminal = started(open_terminal, *words, width=80, height=50)
    terminal.send("fix add in calc.py")
    terminal.until("e  edit")
    golden("asked-80", terminal)
    terminal.answer("y")
    terminal.until("took")
    golden("solved-80", terminal)
    assert "a + b" in (workspace_dir / "calc.py").read_text()


def shell(*commands: str) -> str:
    calls = "".join(f"--- reply\n```shell\n{command}\n```\n" for command in commands)
    return calls + "--- reply repeat = true\n```done\nit is there\n```\n"


def test_the_input_line(open_terminal: Open, scripted: Script, tmp_path: Path) -> None:
    """Mode, completion, pastes, rows, the editor, the draft, and leaving, in one session."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "from the editor" >> "$1"\n')
    editor.chmod(0o755)
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), height=60, VISUAL=str(editor))
    terminal.keys("BTab")
    terminal.until("auto-edit mode")

    terminal.type("/hel")
    assert "> /hel" in terminal.until("/help  ")
    terminal.keys("Tab")
    terminal.until("> /help")
    terminal.keys("Enter")
    terminal.until("/quit", gone="working")

    terminal.type("look at @calc_")
    terminal.until("@calc_test.py")
    terminal.keys("Tab")
    terminal.until("> look at @calc_test.py")
    terminal.keys("Enter")
    terminal.type(" please")
    terminal.until("> look at @calc_test.py please")
    terminal.keys("C-u")

    terminal.paste("first\nsecond")
    terminal.until("> first\n  second")
    terminal.keys("M-Enter")
    terminal.type("third\\")
    terminal.keys("Enter")
    terminal.type("fourth")
    terminal.until("  third\n  fourth")
    terminal.keys("Enter")
    terminal.until("took", gone="working")
    assert events(TurnStarted)[0].prompt == "first\nsecond\nthird\nfourth"

    terminal.type("begun ")
    terminal.until("> begun")
    terminal.keys("C-x", "C-e")
    terminal.until("> begun from the editor")

    terminal.keys("C-c")
    terminal.until("Up brings it back", gone="> begun")
    terminal.keys("Up")
    terminal.until("> begun from the editor")
    terminal.keys("C-c")
    terminal.until("Up brings", gone="> begun")
    terminal.keys("C-c")
    terminal.until("press Ctrl-C again")
    terminal.keys("C-c")
    terminal.until("to resume")


def test_a_paste_of_two_thousand_lines(open_terminal: Open, scripted: Script) -> None:
    text = "".join(f"pasted line {n}\n" for n in range(2000))
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), NO_COLOR="1", LC_ALL="C")
    terminal.type("What is this? ")
    terminal.paste(text)
    terminal.until("[pasted 2,000 lines]")
    terminal.keys("BSpace")
    terminal.until("What is this?", gone="pasted")
    terminal.paste(text)
    terminal.until("[pasted 2,000 lines]")
    terminal.keys("Enter")
    terminal.until("1,994 more lines")
    assert terminal.until("took", gone="working").isascii(), "the locale has no other signs"
    (turn,) = events(TurnStarted)
    assert turn.prompt == f"What is this? {text}".strip()
    codes = re.findall(r"\x1b\[([0-9;]*)m", terminal.screen(codes=True))
    assert codes
    colors = [c for c in codes for part in c.split(";") if re.fullmatch("[349][0-8]", part)]
    assert not colors, "NO_COLOR is set"


def test_every_answer_to_a_question(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    """No, no with a reason, an edited command, always, and yes, in one turn."""
    commands = ("touch no.txt", "touch why.txt", "touch made.txt", "touch a.txt", "touch a.txt")
    script = scripted(shell(*commands, "seq 30"))
    words = ("--scripted", script, "--planner", "react", "--check", "true")
    terminal = started(open_terminal, *words, height=90)
    terminal.send("Create what is missing.")
    terminal.until("y  yes", after="may I run touch no.txt")
    terminal.answer("n")
    terminal.until("shell of touch no.txt was refused: the user said no")

    terminal.until("y  yes", after="may I run touch why.txt")
    terminal.answer("r")
    terminal.until("why not?")
    terminal.send("write it with python")

    terminal.until("y  yes", after="may I run touch made.txt")
    assert "write it with python" in events(ModelRequested)[-1].prompt
    terminal.answer("e")
    terminal.until("run: touch made.txt")
    terminal.keys("C-w")
    terminal.send("other.txt")

    terminal.until("y  yes", after="may I run touch a.txt")
    terminal.answer("a")
    shown = terminal.until("y  yes", after="may I run seq 30")
    assert shown.count("may I run touch a.txt") == 1, "it is remembered"
    terminal.answer("y")
    terminal.until("took", gone="working")
    made = {path.name for path in workspace_dir.iterdir() if path.suffix == ".txt"}
    assert made == {"other.txt", "a.txt"}

    terminal.keys("C-o")
    terminal.until("\n  29\n")


def test_two_turns_are_stopped_while_the_model_writes(
    open_terminal: Open, scripted: Script
) -> None:
    """The draft stays, and the second Ctrl-C is for the second turn, and does not leave."""
    terminal = started(open_terminal, "--scripted", scripted(SLOW * 2), height=60)
    terminal.send("what does add do?")
    terminal.until("line 3 of")
    terminal.type("and what is tested?")
    terminal.until("> and what is tested?")
    terminal.keys("C-c")
    terminal.until("> and what is tested?", after="interrupted")
    terminal.keys("Enter")
    terminal.until("line 3 of", after="and what is tested?")
    terminal.keys("C-c")
    terminal.until("interrupted", after="and what is tested?")
    terminal.type("still here")
    terminal.until("> still here")
    assert outcomes() == ["interrupted", "interrupted"]


def test_what_fills_the_window(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=80, height=50)
    terminal.send("/context")
    terminal.until("room left")
    terminal.send("what does add do?")
    terminal.until("took")
    terminal.send("/context")
    terminal.until("last reply")
    golden("context-80", terminal)


def test_the_check_is_run(open_terminal: Open, scripted: Script) -> None:
    check = "echo one failing line; exit 3"
    words = ("--scripted", scripted(ANSWER), "--check", check, "--sandbox", "none")
    terminal = started(open_terminal, *words, width=80, height=40)
    terminal.send("/check")
    terminal.until("/check fix gives")
    golden("check-80", terminal)


def test_a_commit(open_terminal: Open, scripted: Script, workspace_dir: Path) -> None:
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=workspace_dir, check=True)
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    subprocess.run(["git", "add", "."], cwd=workspace_dir, check=True)
    script = scripted("--- reply\nFix the sign in add\n")
    terminal = started(open_terminal, "--scripted", script, width=80, height=40)
    terminal.send("/commit")
    terminal.until("commit nothing")
    golden("commit-80", terminal)
    terminal.keys("Enter")
    terminal.until("committed as")
    done = subprocess.run(
        ["git", "log", "-1", "--format=%s"], cwd=workspace_dir, capture_output=True, check=True
    )
    assert done.stdout == b"Fix the sign in add\n"


def test_a_plan_is_made_and_carried_out(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    plan = "--- reply\n1. Change add in calc.py to add\n2. Mend subtract in calc.py\n"
    give_up = "--- reply\nI do not know how.\n" * 3
    words = ("--planner", "react", "--check", CHECK)
    script = scripted(plan + WRITES + give_up)
    terminal = started(open_terminal, "--scripted", script, *words, width=80, height=70)
    terminal.send("/plan mend calc.py")
    terminal.until("/plan run carries")
    golden("plan-80", terminal)
    terminal.send("/plan run")
    terminal.until("/plan skip skips")
    golden("plan-run-80", terminal)
    assert "a + b" in (workspace_dir / "calc.py").read_text()


def test_stopped_while_it_reads(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(READING))
    terminal.send("what does add do?")
    terminal.until("reading")
    terminal.keys("C-c")
    terminal.until("interrupted")
    terminal.send("and now?")
    terminal.until("said later")
    assert outcomes()[0] == "interrupted"


def test_what_is_typed_meanwhile_waits_for_its_turn(open_terminal: Open, scripted: Script) -> None:
    script = ANSWER.replace("repeat = true", "pace = 0.05", 1) + ANSWER
    terminal = started(open_terminal, "--scripted", scripted(script), height=50)
    terminal.send("what does add do?")
    terminal.until("The function")
    terminal.send("and what else does it do?")
    terminal.until("then: and what else")
    terminal.until("> and what else", gone="then:")
    terminal.until("took", gone="answering")
    assert events(TurnStarted)[0].prompt == "what does add do?"


def test_a_command_that_waited_is_on_the_screen_with_its_result(
    open_terminal: Open, scripted: Script
) -> None:
    script = ANSWER.replace("repeat = true", "pace = 0.05", 1) + ANSWER
    terminal = started(open_terminal, "--scripted", scripted(script), height=50)
    terminal.send("what does add do?")
    terminal.until("The function")
    terminal.send("/add calc.py")
    shown = terminal.until("no command /add")
    assert shown.index("took") < shown.index("> /add calc.py") < shown.index("no command /add")


def test_another_name_of_the_check_is_drawn_once(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), "--check", CHECK)
    terminal.send("/test")
    shown = terminal.until("took")
    assert "> /test" in shown
    assert "> /check" not in shown


def test_a_second_session_in_a_folder_says_that_it_only_reads(
    open_terminal: Open, scripted: Script
) -> None:
    started(open_terminal, "--scripted", scripted(ANSWER))
    second = open_terminal()
    second.start("--scripted", scripted(ANSWER))
    second.until("another session is open in this folder")


def test_resized_while_it_streams(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(SLOW), width=100)
    terminal.send("what does add do?")
    terminal.until("line 3 of")
    for width in (45, 120, 60):
        terminal.resize(width, 30)
    number = int(re.findall(r"line (\d+) of", terminal.screen())[-1])
    terminal.until(f"line {number + 5} of")
    terminal.keys("C-c")
    shown = terminal.until("interrupted", scrollback=True)
    assert shown.count(" mode ·") == 1, "nothing is left of the status lines before"
    said = [int(n) for n in re.findall(r"line (\d+) of", shown)]
    assert said == list(range(len(said))), "no line is lost or doubled"


def test_a_backend_that_dies_costs_one_turn(open_terminal: Open, scripted: Script) -> None:
    script = '--- reply error = "WorkerDied", to = "chat"\nhalf of\n' * 4 + ANSWER
    terminal = started(open_terminal, "--scripted", scripted(script), height=60)
    terminal.send("what does add do?")
    terminal.until("the model failed")
    terminal.send("again, what does add do?")
    terminal.until("took")
    terminal.keys("C-d")
    terminal.until("to resume this session")


def test_a_session_is_resumed_and_earlier_input_is_found(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    script = scripted(ANSWER)
    terminal = started(open_terminal, "--scripted", script)
    terminal.send("what does add do?")
    terminal.until("took")
    terminal.keys("C-d")
    terminal.until("to resume this session: localagent --resume")
    terminal.start("--scripted", script, "--continue")
    terminal.until("took", gone="--continue")
    golden("resumed", terminal)
    terminal.send("and what else?")
    terminal.until("65 tokens read, 327 reused")  # only what is new
    terminal.keys("C-d")
    terminal.until("to resume")
    assert [e.prompt for e in events(TurnStarted)] == ["what does add do?", "and what else?"]
    assert [m.content for m in events(MessageAdded)].count("what does add do?") <= 1
    assert "what does add do?" in events(ModelRequested)[-1].prompt
    terminal.start("--scripted", script)
    terminal.until("ask mode", gone="--scripted")
    terminal.keys("C-r")
    terminal.type("add")
    terminal.until("search: add")
    terminal.keys("Enter")
    terminal.until("> what does add do?", gone="search")


def test_vi_keys_and_keys_of_ones_own(open_terminal: Open, scripted: Script, home: Path) -> None:
    folder = home / ".config" / "localagent"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('edit_mode = "vi"\n[keys]\nmode = "f2"\n')
    terminal = started(open_terminal, "--scripted", scripted(ANSWER))
    terminal.type("one two")
    terminal.until("> one two")
    terminal.keys("Escape")
    time.sleep(0.6)  # a lone Esc is one only once no other key followed it
    terminal.type("0dw")
    terminal.until("> two")
    terminal.keys("F2")
    terminal.until("auto-edit mode")


def test_what_is_typed_while_it_starts_is_sent(open_terminal: Open, scripted: Script) -> None:
    terminal = open_terminal()
    terminal.start("--scripted", scripted(ANSWER))
    terminal.until("localagent", gone="--scripted")
    terminal.type("what does add do?")
    terminal.keys("Enter")
    terminal.until("took")
    assert events(TurnStarted)[0].prompt == "what does add do?"


def test_bad_settings_are_one_line(open_terminal: Open, home: Path) -> None:
    folder = home / ".config" / "localagent"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('[keys]\nexplode = "f2"\n')
    terminal = open_terminal()
    terminal.start()
    shown = terminal.until("hint:")
    assert "unknown action 'explode'" in shown
    assert "Traceback" not in shown
    usable(terminal)


@pytest.mark.parametrize("way", ["C-d", "TERM", "KILL", "fault"])
def test_the_terminal_is_left_as_it_was(open_terminal: Open, scripted: Script, way: str) -> None:
    terminal = open_terminal()
    if way == "fault":
        terminal.start(program=str(Path(__file__).parents[3] / "doubles" / "faulty_chat.py"))
        terminal.until("mode")
        terminal.send("anything")
        shown = terminal.until("RuntimeError: a fault of ours")
        assert "Traceback" in shown
        usable(terminal)
        return
    terminal.start("--scripted", scripted(SLOW))
    terminal.ready()
    terminal.send("what does add do?")
    terminal.until("line 3 of")
    if way == "C-d":
        terminal.keys("C-d")
    else:
        os.kill(terminal.pid(), getattr(signal, f"SIG{way}"))
    usable(terminal)
    assert events(TurnStarted)[0].prompt == "what does add do?"


def test_a_closed_terminal_ends_the_session(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(SLOW))
    terminal.send("what does add do?")
    terminal.until("line 3 of")
    process = terminal.pid()
    terminal.close()
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < end, "it goes on without its terminal"
        time.sleep(0.05)
    assert outcomes() == ["interrupted"]


def test_going_back_to_edit_the_last_message(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    before = (workspace_dir / "calc.py").read_text()
    script = SOLUTION.replace("reply ", "reply when = 'add', ")
    terminal = started(open_terminal, "--scripted", scripted(script), "--check", CHECK, height=60)
    terminal.send("fix add in calc.py")
    terminal.until("took")
    assert (workspace_dir / "calc.py").read_text() != before
    terminal.keys("Escape", "Escape")
    terminal.until("turn 1 (fix add in calc.py) changed calc.py")
    terminal.until("yes, go back")
    terminal.keys("y")
    terminal.until("back to before this message")
    terminal.until("> fix add in calc.py\n ask mode", gone="working")
    golden("back", terminal)
    assert (workspace_dir / "calc.py").read_text() == before


def test_a_command_of_ones_own_is_run(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=80)
    terminal.send("!echo made > made.txt; seq 3")
    terminal.until("took")
    golden("command", terminal)
    assert (workspace_dir / "made.txt").read_text() == "made\n"


@pytest.mark.parametrize("while_it", ["writes", "waits"])
def test_put_to_sleep_and_woken(open_terminal: Open, scripted: Script, while_it: str) -> None:
    terminal = started(open_terminal, "--scripted", scripted(SLOW), width=100, height=60)
    if while_it == "writes":
        terminal.send("what does add do?")
        terminal.until("line 3 of")
    else:
        terminal.type("a draft")
        terminal.until("> a draft")
    terminal.keys("C-z")
    usable(terminal)
    terminal.type("fg")
    terminal.keys("Enter")
    if while_it == "writes":
        terminal.until("line 6 of", after="it is 42")
        terminal.keys("C-c")
        terminal.until("interrupted")
    else:
        terminal.until("> a draft", after="it is 42")
    terminal.until("ask mode", after="it is 42")


def test_a_terminal_that_can_draw_nothing_over(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    terminal = open_terminal(width=40, height=60)
    terminal.type("TERM=dumb; export TERM")
    terminal.keys("Enter")
    terminal.start("--scripted", scripted(ANSWER))
    terminal.until("\n>")
    screen = terminal.until("/help lists the commands")
    assert screen.index(": opening a session in") < screen.index("· scripted ·")
    terminal.type("what does add do?")
    terminal.keys("Enter")
    terminal.until("73 written")
    terminal.type("/init")
    terminal.keys("Enter")
    terminal.until("number (Enter: none):")
    terminal.type("2")
    terminal.keys("Enter")
    terminal.until("wrote AGENTS.md")
    assert (workspace_dir / "AGENTS.md").exists()
    terminal.until("\n>", after="wrote AGENTS.md")
    golden("dumb-40", terminal, start="• looking")
    terminal.keys("C-d")
    usable(terminal)
