"""Whole sessions leave an audit log that says what they did, and that verifies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.cli.main import main
from localagent.core.events import ToolReturned
from localagent.history.audit.log import audit_dir, records
from localagent.history.audit.verify import verify
from localagent.project.project import Project
from localagent.session.recorders import WorkspaceUndo

READ = "```read path=calc.py\n```"
OUTSIDE = "```read path=../../etc/passwd\n```"
SEARCH = "```search pattern=add path=calc_test.py\n```"
EDIT = """```edit path=calc.py
<<<<<<< SEARCH
    return a - b
=======
    return a + b
>>>>>>> REPLACE
```"""
SHELL = "```shell\nls\n```"
DONE = "```done\nadd adds now\n```"
TASK = "Fix calc.py so that the tests in calc_test.py pass"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of_type(found: list, kind: str) -> list[dict]:
    return [record for record in found if record["type"] == kind]


def test_a_session_of_tool_calls(
    start: Callable, workspace_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = digest(workspace_dir / "calc.py")
    run = start(
        workspace_dir, [READ, OUTSIDE, SEARCH, EDIT, SHELL, DONE], planner="react", yes=True
    )
    run.turn(TASK)
    after = digest(workspace_dir / "calc.py")
    found = records(run.session.id)
    assert None not in found
    (session,) = of_type(found, "session")
    assert (session["workspace"], session["model"]) == (str(workspace_dir), "scripted")
    assert session["sandbox"] == run.session.started.sandbox
    assert (of_type(found, "read")[0]["path"], of_type(found, "read")[0]["sha256"]) == (
        "calc.py",
        before,
    )
    assert "calc_test.py" in [r["path"] for r in of_type(found, "read")]
    (written,) = of_type(found, "written")
    assert (written["before_sha256"], written["after_sha256"]) == (before, after)
    assert [(r["kind"], r["subject"]) for r in of_type(found, "blocked")] == [
        ("path", "../../etc/passwd")
    ]
    assert {r["command"].strip() for r in of_type(found, "called") if "command" in r} == {"ls"}
    decisions = {(r["tool"], r["subject"], r["allowed"]) for r in of_type(found, "decision")}
    assert {("edit", "calc.py", True), ("shell", "ls", True)} <= decisions
    assert of_type(found, "finished")[0]["outcome"] == "solved"
    assert len(of_type(found, "asked")) == len(of_type(found, "replied")) == 6
    assert verify().findings == ()

    run.session.close()
    WorkspaceUndo(Project.open(workspace_dir)).undo()
    found = records(run.session.id)
    assert [r["type"] for r in found[-2:]] == ["undo", "written"]
    assert found[-1]["after_sha256"] == before

    assert main(["audit", "list"]) == 0
    assert run.session.id in capsys.readouterr().out
    assert main(["audit", "show", run.session.id[-4:]]) == 0
    assert "../../etc/passwd" in capsys.readouterr().out
    assert main(["audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intact"] is True


def test_what_no_tool_may_change_no_command_changes(start: Callable, workspace_dir: Path) -> None:
    kept = workspace_dir / "sub" / ".env"
    kept.parent.mkdir()
    kept.write_text("K=1\n")
    own = workspace_dir / ".localagent" / "notes.md"
    own.parent.mkdir()
    own.write_text("x\n")
    line = "rm -rf .localagent sub; echo K=2 > .env; echo fine > fine.txt"
    run = start(workspace_dir, [f"```shell\n{line}\n```", DONE], planner="react", check=None)
    run.turn("tidy up the folder")
    assert (workspace_dir / "fine.txt").read_text() == "fine\n"
    assert (kept.read_text(), own.read_text()) == ("K=1\n", "x\n")
    assert not (workspace_dir / ".env").exists()
    blocked = {r["subject"] for r in of_type(records(run.session.id), "blocked")}
    assert {".env", "sub/.env", ".localagent/notes.md"} <= blocked
    told = [e for e in run.events if isinstance(e, ToolReturned)]
    assert "not kept, as no tool may change it" in told[0].for_model


def test_the_planner_for_small_models_tells_what_it_shows(
    start: Callable, workspace_dir: Path
) -> None:
    run = start(workspace_dir, ["def add(a, b):\n    return a + b\n"])
    run.turn("Fix calc.py so that its tests pass")
    paths = [r["path"] for r in of_type(records(run.session.id), "read")]
    assert {"calc.py", "calc_test.py"} <= set(paths)


def test_a_question_tells_what_it_is_answered_from(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, ["It subtracts."])
    run.turn("What does add in calc.py do?")
    (read, *_) = of_type(records(run.session.id), "read")
    assert (read["path"], read["sha256"]) == ("calc.py", digest(workspace_dir / "calc.py"))


def test_a_log_that_was_changed_is_told(
    start: Callable, workspace_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(workspace_dir, ["It subtracts."])
    run.turn("What does add in calc.py do?")
    path = audit_dir() / f"{run.session.id}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"calc.py", b"cale.py", 1))
    assert main(["audit", "verify"]) == 1
    told = capsys.readouterr().out
    assert f"CHANGED  {path.name}, line" in told
    assert main(["audit", "show", run.session.id]) == 0
    assert "a damaged line" in capsys.readouterr().out


def test_texts_are_kept_where_the_settings_say_so(
    start: Callable, workspace_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAGENT_AUDIT", "texts")
    run = start(workspace_dir, ["It subtracts."])
    run.turn("What does add in calc.py do?")
    assert of_type(records(run.session.id), "prompt")[0]["text"] == "What does add in calc.py do?"


def test_the_log_can_be_switched_off(
    start: Callable, workspace_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAGENT_AUDIT", "off")
    start(workspace_dir, ["It subtracts."]).turn("What does add in calc.py do?")
    assert not audit_dir().exists()


def test_commands_on_an_empty_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "list"]) == 0
    assert main(["audit", "verify"]) == 0
    assert "0 sessions" in capsys.readouterr().out
    assert main(["audit", "show", "x"]) == 2
    assert main(["audit", "verify", "--head", "nonsense"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_export_gives_the_stored_bytes(
    start: Callable, workspace_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(workspace_dir, ["It subtracts."])
    run.turn("What does add in calc.py do?")
    stored = (audit_dir() / f"{run.session.id}.jsonl").read_bytes()
    out = tmp_path / "out.jsonl"
    assert main(["audit", "export", run.session.id, "-o", str(out)]) == 0
    assert out.read_bytes() == stored
    assert main(["audit", "export", run.session.id, "-o", str(out)]) == 2
    assert "does not exist yet" in capsys.readouterr().err
