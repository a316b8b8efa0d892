"""Whatever content reaches a model has left a record of it before: which file, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.cli.main import main
from localagent.history.audit.log import records, sessions
from tests.doubles.agreed import agree

DONE = "```done\nnothing to do\n```"
CALL = "I look.\n```read path=pkg/x.py\n```"
OWN_PROMPT = "You are careful.\n\n{{tools}}"
TOOL = """
from localagent.core.messages import ToolResult
from localagent.tools.base import Action

DESCRIPTION = "words: counts words."


def prepare(arguments, context):
    return Action("words", "read", ".", "count", lambda: ToolResult(True, "3", "3"))
"""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reads(session: str) -> dict[str, str]:
    """Path and hash of what the model was shown before it was first asked, and after."""
    found = [record for record in records(session) if record is not None]
    return {record["path"]: record["sha256"] for record in found if record["type"] == "read"}


@pytest.fixture
def own(home: Path) -> Path:
    """The user's own rules and prompts."""
    folder = home / ".config" / "localagent"
    (folder / "prompts" / "react").mkdir(parents=True)
    (folder / "AGENTS.md").write_text("Answer in English.\n")
    (folder / "prompts" / "react" / "system.md").write_text(OWN_PROMPT)
    return folder


@pytest.fixture
def project(workspace_dir: Path, own: Path) -> Path:
    """A project with rules, one folder's, prompts, a tool and a command, all agreed to."""
    (workspace_dir / "AGENTS.md").write_bytes(b"\xef\xbb\xbfUse plain functions.\n")
    (workspace_dir / "pkg").mkdir()
    (workspace_dir / "pkg" / "AGENTS.md").write_text("In pkg all is generated.\n")
    (workspace_dir / "pkg" / "x.py").write_text("x = 1\n")
    brought = workspace_dir / ".localagent"
    for kind, name, text in (
        ("prompts/tools", "read.md", "read: shows a file."),
        ("prompts/small", "title.md", "Unused here: {{task}}"),
        ("tools", "words.py", TOOL),
        ("commands", "look.md", "Look at what pkg holds"),
    ):
        (brought / kind).mkdir(parents=True, exist_ok=True)
        (brought / kind / name).write_text(text)
    agree(workspace_dir)
    assert own.is_dir()
    return workspace_dir


def test_rules_prompts_and_descriptions_of_tools(start: Callable, project: Path, own: Path) -> None:
    run = start(project, [CALL, DONE, DONE], planner="react", check="true")
    run.turn("Look at pkg/x.py")
    assert "Use plain functions" in run.model.prompts[0]
    assert "In pkg all is generated" in run.model.prompts[1]
    shown = reads(run.session.id)
    for name in ("AGENTS.md", "pkg/AGENTS.md", "pkg/x.py", ".localagent/prompts/tools/read.md"):
        assert shown[name] == digest(project / name)
    assert shown[".localagent/tools/words.py"] == digest(project / ".localagent/tools/words.py")
    for path in (own / "AGENTS.md", own / "prompts" / "react" / "system.md"):
        assert shown[str(path)] == digest(path)
    assert ".localagent/prompts/small/title.md" not in shown
    found = records(run.session.id)
    kinds = [record["type"] for record in found if record is not None]
    of_rules = next(r["seq"] for r in found if r and r.get("path") == "AGENTS.md")
    assert of_rules < kinds.index("asked") + 1
    assert {r["model"] for r in found if r and r["type"] == "asked"} == {"scripted"}
    before = len(found)
    run.turn("And again?")
    again = [r["path"] for r in records(run.session.id)[before:] if r and r["type"] == "read"]
    assert "AGENTS.md" in again  # each turn tells what its prompts are made of


def test_a_commands_file(project: Path, tmp_path: Path) -> None:
    replies = tmp_path / "replies.txt"
    replies.write_text("--- reply repeat = true\nIt holds x.\n")
    flags = ["--command", "look", "-C", str(project), "--scripted", str(replies), "--yes"]
    main(["run", *flags])
    (logged,) = sessions()
    name = ".localagent/commands/look.md"
    assert reads(logged.session)[name] == digest(project / name)


def test_files_of_which_only_names_are_shown(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "shop.py").write_text(
        "from stock import price\n\n\ndef total(lines):\n    return sum(map(price, lines))\n"
    )
    lines = "".join(f"    # the price of item {n}\n" for n in range(400))
    (workspace_dir / "stock.py").write_text(
        f"def price(item):\n{lines}    return item\n\n\ndef restock(item):\n{lines}    return 0\n"
    )
    run = start(workspace_dir, ["It sums prices."])
    run.turn("How does shop.py compute total with price?")
    (prompt,) = run.model.prompts
    assert "`stock.py`:" in prompt
    assert "restock" in prompt
    assert reads(run.session.id)["stock.py"] == digest(workspace_dir / "stock.py")
