"""A whole session sees no secret: neither model, nor transcript, nor audit log; edits still fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import Question, ToolReturned, TurnFinished, Warned
from localagent.core.paths import data_dir
from localagent.history.sessions.transcript import read

TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3hJ6"
READ = "```read path=calc.py\n```"
SEARCH = "```search pattern=TOKEN path=calc.py\n```"
PRINT = "```shell\ncat calc.py; printf '\\033[31mred\\033[0m \\342\\200\\256'\n```"
EDIT = """```edit path=calc.py
<<<<<<< SEARCH
TOKEN = "⟨secret 1: github token⟩"
def add(a, b):
    return a - b
=======
TOKEN = "⟨secret 1: github token⟩"  # kept
def add(a, b):
    return a + b
>>>>>>> REPLACE
```"""
COPY = "```write path=other.py\nTOKEN = '⟨secret 1: github token⟩'\n```"
DONE = "```done\nadd adds now\n```"


def test_a_token_in_a_file(start: Callable, workspace_dir: Path) -> None:
    calc = workspace_dir / "calc.py"
    calc.write_text(f'TOKEN = "{TOKEN}"\ndef add(a, b):\n    return a - b\n')
    run = start(workspace_dir, [READ, SEARCH, PRINT, EDIT, COPY, DONE], planner="react")
    events = run.turn("Fix calc.py so that the tests in calc_test.py pass")
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "solved"
    results = [e for e in events if isinstance(e, ToolReturned)]
    assert [r.ok for r in results] == [True, True, True, True, False]
    assert "⟨secret 1: github token⟩" in results[0].for_model
    assert "red ⟨U+202E⟩" in results[2].for_model
    assert "stands for something that is hidden" in results[4].for_model
    assert f'TOKEN = "{TOKEN}"  # kept\n' in calc.read_text()
    assert not (workspace_dir / "other.py").exists()
    told = [e.text for e in events if isinstance(e, Warned)]
    assert told.count("hidden from the model: secret 1 (github token)") == 1
    assert not any(TOKEN in prompt for prompt in run.model.prompts)
    run.session.close()
    kept = [p for p in data_dir().rglob("*.jsonl") if p.is_file()]
    assert kept and not any(TOKEN in path.read_text() for path in kept)


def test_the_planner_for_small_models(start: Callable, workspace_dir: Path) -> None:
    calc = workspace_dir / "calc.py"
    calc.write_text(f'TOKEN = "{TOKEN}"\ndef add(a, b):\n    return a - b\n')
    reply = 'TOKEN = "⟨secret 1: github token⟩"\ndef add(a, b):\n    return a + b\n'
    run = start(workspace_dir, [reply])
    end = run.turn("Fix calc.py so that its tests pass")[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "solved"
    assert calc.read_text() == f'TOKEN = "{TOKEN}"\ndef add(a, b):\n    return a + b\n'
    assert not any(TOKEN in prompt for prompt in run.model.prompts)


# The detector takes each of these commands for a text with a secret; it finds none in this file.
DISGUISED = (
    'true "-----BEGIN PRIVATE KEY-----"\nrm -rf src\n' + "ls " + "a" * 60,
    "echo http://a:b" + ";{touch,made.txt};c@d",
    'DB_PASSWORD="' + '`touch made.txt 1`" true',
)
MAKEFILE = (
    """```write path=Makefile
all:
\ttrue -----BEGIN PRIVATE KEY-----
\ttouch made.txt """
    + "a" * 60
    + """
```"""
)


@pytest.mark.parametrize("command", DISGUISED)
def test_a_question_has_the_exact_command(
    start: Callable, workspace_dir: Path, command: str
) -> None:
    """A placeholder would hide a part of the command from the user who allows it."""
    options = {"planner": "react", "yes": False, "interactive": True}
    run = start(workspace_dir, [f"```shell\n{command}\n```", DONE], **options)
    questions = [e for e in run.turn("Do it", lambda _: False) if isinstance(e, Question)]
    assert [question.preview for question in questions] == [f"$ {command}"]


def test_a_question_has_the_exact_change(start: Callable, workspace_dir: Path) -> None:
    options = {"planner": "react", "yes": False, "interactive": True}
    run = start(workspace_dir, [MAKEFILE, DONE], **options)
    questions = [e for e in run.turn("Do it", lambda _: False) if isinstance(e, Question)]
    assert "+\ttouch made.txt" in questions[0].preview


def test_the_transcript_of_a_question_has_placeholders(
    start: Callable, workspace_dir: Path
) -> None:
    token = f'```write path=new.py\nTOKEN = "{TOKEN}"\n```'
    options = {"planner": "react", "yes": False, "interactive": True}
    run = start(workspace_dir, [token, DONE], **options)
    questions = [e for e in run.turn("Do it", lambda _: False) if isinstance(e, Question)]
    assert TOKEN in questions[0].preview
    stored = [e for e in read(run.session.id).events if isinstance(e, Question)]
    assert "⟨secret 1: github token⟩" in stored[0].preview
    assert TOKEN not in stored[0].preview


def test_a_question_that_nobody_sees_has_placeholders(start: Callable, workspace_dir: Path) -> None:
    """The events may go to the log of a CI job."""
    token = f'```write path=new.py\nTOKEN = "{TOKEN}"\n```'
    run = start(workspace_dir, [token, DONE], planner="react", yes=False, interactive=False)
    questions = [e for e in run.turn("Do it") if isinstance(e, Question)]
    assert questions and not any(TOKEN in question.preview for question in questions)
