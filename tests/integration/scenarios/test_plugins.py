"""Plug-ins in real sessions: the documentation's examples, consent, errors, and the egress lock."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import run_in

import localagent
from localagent.agent.tool_calls.parse import action_grammar
from localagent.tools.base import ToolSpec, model_specs
from localagent.tools.registry import standard_tools

PAGE = Path(localagent.__file__).parent / "docs" / "extending.md"
_BLOCK = re.compile(r"^(`{3,})python\n(.*?)^\1$", re.S | re.M)
_PLUGINS = PAGE.read_text("utf-8").partition("## Changing localagent itself")[0]
WORDS, BRIEF = (source for _, source in _BLOCK.findall(_PLUGINS))
CALL = "--- reply\n```words path=calc.py\n```\n--- reply repeat = true\nIt is short.\n"


@pytest.fixture
def own(home: Path) -> Path:
    folder = home / ".config" / "localagent"
    (folder / "tools").mkdir(parents=True)
    (folder / "planners").mkdir()
    return folder


def run(
    workspace: Path, replies: str = CALL, planner: str = "react", *words: str
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, Any]]]:
    script = workspace.parent / "replies.txt"
    script.write_text(replies)
    command = ("run", "--json", "--scripted", str(script), "--planner", planner, *words)
    done = run_in(workspace, *command, "how long is calc.py?")
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def test_the_documented_tool(workspace_dir: Path, own: Path) -> None:
    (own / "tools" / "words.py").write_text(WORDS)
    done, events = run(workspace_dir)
    assert done.returncode == 0, done.stderr
    (returned,) = of(events, "tool_returned")
    assert (returned["ok"], returned["for_person"]) == (True, "7 words")
    (decision,) = of(events, "decision")
    assert (decision["tool"], decision["subject"], decision["allowed"]) == (
        "words",
        "calc.py",
        True,
    )
    assert "Counts the words of a file." in json.dumps(of(events, "model_asked"))
    rule = '[[permissions]]\naction = "deny"\ntool = "words"\n'
    (own / "config.toml").write_text(rule)
    _, events = run(workspace_dir)
    assert [d["allowed"] for d in of(events, "decision")] == [False]
    assert not of(events, "tool_returned")[0]["ok"]


def test_a_tool_cannot_pass_for_another(workspace_dir: Path, own: Path) -> None:
    (own / "tools" / "words.py").write_text(WORDS.replace('Action("words"', 'Action("read"'))
    _, events = run(workspace_dir)
    assert [d["tool"] for d in of(events, "decision")] == ["words"]
    (own / "tools" / "read.py").write_text(WORDS)
    done, _ = run(workspace_dir)
    assert done.returncode == 2
    assert "tools/read.py has the name of a built-in tool" in done.stderr


def test_the_documented_planner(workspace_dir: Path, own: Path) -> None:
    (own / "planners" / "brief.py").write_text(BRIEF)
    done, events = run(workspace_dir, "--- reply\nSeven words.\n", "plugin:brief")
    assert done.returncode == 0, done.stderr
    (finished,) = of(events, "turn_finished")
    assert (finished["outcome"], finished["summary"]) == ("answered", "Seven words.")
    assert "In one sentence: how long" in json.dumps(of(events, "model_asked"))
    done, _ = run(workspace_dir, "--- reply\nx\n", "plugin:other")
    assert done.returncode == 2
    assert "unknown planner 'plugin:other'" in done.stderr
    assert "plugin:brief" in done.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (\n", "SyntaxError"),
        ("import json\n1 / 0\n", "ZeroDivisionError: division by zero (line 2)"),
        ("raise SystemExit(0)\n", "SystemExit"),
        ("def prepare(a, c): ...\n", "has no DESCRIPTION"),
        ("DESCRIPTION = 'x'\n", "has no function prepare"),
    ],
)
def test_one_that_cannot_be_loaded_is_named(
    workspace_dir: Path, own: Path, source: str, message: str
) -> None:
    file = own / "tools" / "words.py"
    file.write_text(source)
    done, _ = run(workspace_dir)
    assert done.returncode == 2
    assert f"the plug-in {file}" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_one_that_fails_in_its_work_is_named(workspace_dir: Path, own: Path) -> None:
    file = own / "tools" / "words.py"
    file.write_text(WORDS.replace("    def perform():\n", "    def perform():\n        {}['x']\n"))
    done, events = run(workspace_dir)
    (returned,) = of(events, "tool_returned")
    assert f"the plug-in {file} failed: KeyError: 'x' (line 17)" in returned["for_model"]
    assert done.returncode == 0
    file.write_text("DESCRIPTION = 'x'\ndef prepare(a, c):\n    return 'no action'\n")
    _, events = run(workspace_dir)
    assert "prepare must return an Action" in of(events, "tool_returned")[0]["for_model"]
    planner = own / "planners" / "brief.py"
    planner.write_text("def plan(turn):\n    yield from ()\n    return turn.nothing\n")
    done, events = run(workspace_dir, CALL, "plugin:brief")
    assert done.returncode == 2
    (failed,) = of(events, "failed")
    assert f"the plug-in {planner} failed: AttributeError" in failed["message"]
    assert len(of(events, "turn_finished")) == 1


def test_a_projects_is_not_run_before_a_yes_and_not_after_a_change(
    workspace_dir: Path, tmp_path: Path
) -> None:
    path = ".localagent/tools/words.py"
    mark = tmp_path / "ran"
    (workspace_dir / path).parent.mkdir(parents=True)
    (workspace_dir / path).write_text(f"open({str(mark)!r}, 'w').close()\n{WORDS}")
    _, events = run(workspace_dir)
    assert not mark.exists()
    assert not [e for e in of(events, "tool_returned") if e["ok"]]
    assert run_in(workspace_dir, "trust", "add", path, "--yes").returncode == 0
    _, events = run(workspace_dir)
    assert mark.exists()
    assert [e["for_person"] for e in of(events, "tool_returned")] == ["7 words"]
    mark.unlink()
    with (workspace_dir / path).open("a") as file:
        file.write("\n")
    run(workspace_dir)
    assert not mark.exists()


def test_one_that_reaches_out_is_refused(workspace_dir: Path, own: Path) -> None:
    """The address is one that no machine may have (RFC 5737)."""
    reach = "import socket\nsocket.create_connection(('192.0.2.1', 80), 1)\n"
    file = own / "tools" / "words.py"
    file.write_text(reach + WORDS)
    done, _ = run(workspace_dir)
    assert done.returncode == 2
    assert f"the plug-in {file} cannot be loaded" in done.stderr
    assert "192.0.2.1" in done.stderr
    inside = "    def perform():\n        import socket\n"
    inside += "        socket.create_connection(('192.0.2.1', 80), 1)\n"
    file.write_text(WORDS.replace("    def perform():\n", inside))
    _, events = run(workspace_dir)
    assert [e["ok"] for e in of(events, "tool_returned")] == [False]
    (blocked,) = of(events, "blocked")
    assert "192.0.2.1" in json.dumps(blocked)


def test_the_grammar_allows_calls_of_plugins() -> None:
    plugins = {name: ToolSpec(name) for name in ("words", "count_lines")}
    grammar = action_grammar({**model_specs(standard_tools()), **plugins})
    assert '"done\\n" body | plugin\n' in grammar
    assert 'plugin  ::= ("words" | "count_lines")' in grammar
