"""Every command after "/" at a real terminal, several to a session, screens kept as golden text.

`UPDATE_GOLDEN=1 python -m pytest tests/integration/ui/tui/test_screens.py` writes the
screens anew; look at them before you keep them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import tmux_terminal
from tmux_terminal import Tmux
from tui_replies import ANSWER, SOLUTION
from tui_screens import golden, started, usable

from localagent.ui.chat.commands import COMMANDS

CHECK = "grep -q 'a + b' calc.py"
Open = Callable[..., Tmux]
Script = Callable[[str], str]


def entered(terminal: Tmux, line: str, wanted: str) -> str:
    """Enter a line, wait for its end and what it shows, and return the screen."""
    terminal.send(line)
    return terminal.until(wanted, gone="working", after=f"> {line}\n")


def picked(terminal: Tmux, line: str, wanted: str, *keys: str) -> None:
    """Enter a command that opens a list, and pick from it."""
    terminal.send(line)
    terminal.until("Enter takes it", after=f"> {line}\n")
    terminal.keys(*keys, "Enter")
    terminal.until(wanted, gone="working", after=f"> {line}\n")


def test_commands_on_the_front_end(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=100, height=90)
    entered(terminal, "/help undo", "take back the changes")
    entered(terminal, "/helf", "did you mean")
    entered(terminal, "/keys", "fg wakes it")
    picked(terminal, "/theme", "theme dark; to keep it", "Down")
    entered(terminal, "/theme light", "to keep it")
    entered(terminal, "/theme pink", "unknown theme")
    golden("commands-front", terminal)
    terminal.send("/quit")
    terminal.until("nothing was sent, so no session is kept")
    usable(terminal)


def test_every_command_is_in_the_help(open_terminal: Open, scripted: Script) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=40, height=150)
    # No golden text: it grows with each command.
    shown = entered(terminal, "/help", "anything else")
    assert not [c.name for c in COMMANDS if f"\n/{c.name}" not in shown]
    assert "\n/undo [TURN]\n    take back the changes of the last\n    turn, or of TURN\n" in shown


def test_commands_on_changes(open_terminal: Open, scripted: Script, workspace_dir: Path) -> None:
    words = ("--scripted", scripted(SOLUTION), "--check", CHECK)
    terminal = started(open_terminal, *words, width=80, height=100)
    before = (workspace_dir / "calc.py").read_text()
    entered(terminal, "/undo", "nothing to undo")
    entered(terminal, "/diff", "nothing was changed")
    entered(terminal, "fix add in calc.py", "undo      /undo")
    after = (workspace_dir / "calc.py").read_text()
    assert after != before
    entered(terminal, "/diff", "turn 1")
    entered(terminal, "/undo", "undid turn 1: calc.py")
    assert (workspace_dir / "calc.py").read_text() == before
    entered(terminal, "/redo", "redid turn 1: calc.py")
    assert (workspace_dir / "calc.py").read_text() == after
    entered(terminal, "/undo 7", "turns that changed")
    golden("commands-changes", terminal)


def test_commands_on_sessions(open_terminal: Open, scripted: Script, workspace_dir: Path) -> None:
    # The path of a temporary folder is long, and must fit into a line.
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=120, height=120)
    entered(terminal, "what does add do?", "took")
    entered(terminal, "and who calls it?", "took")
    entered(terminal, "/compact", "nothing to compact")
    entered(terminal, "/export told.json", "project/told.json")
    assert "who calls it" in json.dumps(json.loads((workspace_dir / "told.json").read_text()))
    entered(terminal, "/export told.json", "--force")
    entered(terminal, "/fork 1", "with 1 turn")
    entered(terminal, "/sessions", "fork of")
    terminal.send("/resume")
    terminal.until("Enter takes it", after="> /resume")
    golden("resume-picked-from", terminal)
    terminal.keys("Enter")
    terminal.until("with 2 turns")
    terminal.until("with 2 turns", gone="working")
    golden("commands-sessions", terminal)
    terminal.send("/clear")
    terminal.until("a new session", gone="> /resume")
    golden("clear", terminal)
    entered(terminal, "what does add do?", "took")


def test_commands_on_what_is_allowed(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=150, height=90)
    entered(terminal, "/permissions", "nothing is remembered")
    entered(terminal, "/sandbox", "localagent doctor")
    entered(terminal, "!echo made > made.txt", "took")
    entered(terminal, "/audit", "records")
    entered(terminal, "/audit verify", "head")
    picked(terminal, "/mode", "the mode is ask")
    entered(terminal, "/mode fast", "one of:")
    entered(terminal, "/mode plan", "the mode is plan")
    terminal.until("plan mode")
    golden("commands-allowed", terminal)
    assert (workspace_dir / "made.txt").exists()


def test_commands_on_code_and_settings(
    open_terminal: Open, scripted: Script, workspace_dir: Path, home: Path
) -> None:
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=150, height=120)
    entered(terminal, "/index build", "definitions")
    entered(terminal, "/index", "definitions")
    entered(terminal, "/search def:add", "calc.py:1")
    entered(terminal, "/config show theme", "allowed: ")
    entered(terminal, "/config set theme pink", "it must be")
    entered(terminal, "/config set theme light", "light")
    assert 'theme = "light"' in (home / ".config/localagent/config.toml").read_text()
    terminal.send("/init")
    terminal.until("Write this AGENTS.md?")
    golden("init", terminal)
    terminal.keys("Down", "Enter")
    terminal.until("wrote AGENTS.md", gone="working")
    assert "pytest" in (workspace_dir / "AGENTS.md").read_text()
    golden("commands-code", terminal)


def test_another_model_in_mid_session(open_terminal: Open) -> None:
    terminal = open_terminal(width=80, height=60)
    terminal.start(program=str(Path(tmux_terminal.__file__).with_name("two_models_chat.py")))
    terminal.until("ask mode", gone="opening the session")
    entered(terminal, "what does add do?", "took")
    picked(terminal, "/model", "the model is first")
    entered(terminal, "/model third", "known are")
    entered(terminal, "/model second", "from now on")
    entered(terminal, "what does add do, again?", "took")
    terminal.until("second (scripted)")
    golden("model-switched", terminal)


def test_what_a_project_brings_is_asked_about(
    open_terminal: Open, scripted: Script, workspace_dir: Path
) -> None:
    (workspace_dir / "AGENTS.md").write_text("# Rules\n\n- Names are in German.\n")
    terminal = started(open_terminal, "--scripted", scripted(ANSWER), width=80, height=60)
    terminal.send("what does add do?")
    terminal.until("Use AGENTS.md?")
    golden("trust-asked", terminal)
    terminal.keys("Down", "Enter")
    terminal.until("took")
    (workspace_dir / "AGENTS.md").write_text("# Rules\n\n- Names are in English.\n")
    terminal.send("and now?")
    terminal.until("Use AGENTS.md?", after="and now?")
    terminal.keys("Escape")
    terminal.until("took", after="and now?")
    terminal.until("took", gone="working", after="not used in this session")
    golden("trust", terminal)
