"""A whole session sees no secret: neither model, nor transcript, nor audit log; edits still fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localagent.core.events import ToolReturned, TurnFinished, Warned
from localagent.core.paths import data_dir

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
