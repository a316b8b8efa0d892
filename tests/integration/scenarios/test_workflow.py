"""The workflow planner from a prompt to its last event."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from localagent.agent.checks import baseline
from localagent.agent.limits import SEARCH
from localagent.agent.repair.localize import targets
from localagent.core.events import (
    CheckFinished,
    CheckStarted,
    Event,
    Failed,
    MessageAdded,
    Question,
    TurnFinished,
    Warned,
)
from localagent.index.build import bring_up_to_date
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply
from localagent.project.project import Project
from localagent.session.recorders import WorkspaceUndo

E = TypeVar("E")
TASK = "Fix calc.py so that the tests in calc_test.py pass"
GOOD = "def add(a, b):\n    return a + b\n"
BAD = "def add(a, b):\n    return a * b\n"
FAR_OFF = "def add(a, b):\n    return bool(a)\n"  # no change of one sign mends it


def only(events: list[Event], cls: type[E]) -> list[E]:
    return [e for e in events if isinstance(e, cls)]


def finished(events: list[Event]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    assert len(only(events, TurnFinished)) == 1
    return events[-1]


def test_a_change_that_no_test_runs_is_not_verified(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text(GOOD)
    more = f"{GOOD}\n\ndef double(a):\n    return 2 * a\n"
    events = start(workspace_dir, [more]).turn("Add a function double to calc.py")
    end = finished(events)
    assert (end.outcome, end.exit_code, end.changed) == ("unverified", 1, ["calc.py"])
    assert end.summary == "changed calc.py; the check passes, but no test runs the change"


@pytest.mark.parametrize("objects", [False, True])
def test_what_passes_without_plugins_is_checked_with_them(
    start: Callable, workspace_dir: Path, monkeypatch: pytest.MonkeyPatch, objects: bool
) -> None:
    # A loaded machine takes more than the usual five seconds.
    monkeypatch.setattr(baseline, "SEARCH", replace(SEARCH, lean_max_seconds=60.0))
    (workspace_dir / "calc.py").write_text(FAR_OFF)
    # Where most tests pass, forks judge small changes, and no check without plug-ins is tried.
    more = "from calc import add\n\ndef test_2(): assert add(1, 1) == 2\n"
    (workspace_dir / "more_test.py").write_text(f"{more}def test_4(): assert add(2, 2) == 4\n")
    info = workspace_dir / "slow_one-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-one\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nslow_one = slow_one\n")
    (workspace_dir / "slow_one.py").write_text(
        "import time, pytest\ntime.sleep(2)\n@pytest.hookimpl(hookwrapper=True)\n"
        "def pytest_runtest_makereport(item, call):\n    report = (yield).get_result()\n"
        f"    if {objects} and report.passed and report.when == 'call' and 'add' in item.name:\n"
        "        report.outcome = 'failed'\n"
    )
    run = start(
        workspace_dir, [ScriptedReply(GOOD, repeat=True)], profile=Profile(fim=False, candidates=1)
    )
    events = run.turn(TASK)
    begun = [e.candidate for e in only(events, CheckStarted) if e.candidate]
    ended = [(e.candidate, e.ok) for e in only(events, CheckFinished) if e.candidate]
    assert begun.count(1) == 2
    assert ended[0] == (1, not objects)
    assert finished(events).outcome == ("unsolved" if objects else "solved")


def test_undo_and_redo_restore_every_byte(start: Callable, workspace_dir: Path) -> None:
    before = (workspace_dir / "calc.py").read_bytes()
    run = start(workspace_dir, [GOOD])
    run.turn(TASK)
    run.session.close()
    undone = WorkspaceUndo(Project.open(workspace_dir)).undo()
    assert [c.path for c in undone.changed] == ["calc.py"]
    assert (workspace_dir / "calc.py").read_bytes() == before
    WorkspaceUndo(Project.open(workspace_dir)).redo()
    assert (workspace_dir / "calc.py").read_text() == GOOD


def test_a_question_is_answered_and_nothing_is_changed(
    start: Callable, workspace_dir: Path
) -> None:
    run = start(workspace_dir, ["It subtracts."])
    end = finished(run.turn("What does add in calc.py do?"))
    assert (end.outcome, end.exit_code, end.summary) == ("answered", 0, "It subtracts.")
    assert "return a - b" in run.model.prompts[0]


def test_the_file_is_found_through_the_failing_test(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [GOOD])
    assert finished(run.turn("fix the failing test")).outcome == "solved"
    assert (workspace_dir / "calc.py").read_text() == GOOD


def test_a_first_index_that_takes_long_is_waited_for(
    start: Callable, workspace_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()

    def look(*arguments):
        found = targets(*arguments)
        looked.set()
        return found

    def build(*arguments):
        assert looked.wait(60)
        return bring_up_to_date(*arguments)

    monkeypatch.setattr("localagent.agent.planners.workflow.targets", look)
    monkeypatch.setattr("localagent.index.updater.bring_up_to_date", build)
    run = start(workspace_dir, [GOOD])
    assert finished(run.turn("fix the failing test", lambda _question: True)).outcome == "solved"


class TestPermission:
    def test_a_named_file_may_be_changed_without_asking(
        self, start: Callable, workspace_dir: Path
    ) -> None:
        run = start(workspace_dir, [GOOD], yes=False)
        assert finished(run.turn(TASK)).outcome == "solved"

    def test_another_file_is_refused_where_nobody_can_be_asked(
        self, start: Callable, workspace_dir: Path
    ) -> None:
        run = start(workspace_dir, [GOOD], yes=False)
        events = run.turn("fix the failing test")
        end = finished(events)
        assert (end.outcome, end.exit_code, end.changed) == ("refused", 3, [])
        assert "--yes" in only(events, Failed)[0].hint
        assert run.model.requests == []  # refused before any work

    @pytest.mark.parametrize("allowed", [True, False])
    def test_the_user_is_asked_with_the_diff(
        self, start: Callable, workspace_dir: Path, allowed: bool
    ) -> None:
        run = start(workspace_dir, [GOOD], yes=False, interactive=True)
        events = run.turn("fix the failing test", lambda _question: allowed)
        assert "+    return a + b" in only(events, Question)[0].preview
        end = finished(events)
        assert end.outcome == ("solved" if allowed else "refused")
        assert ((workspace_dir / "calc.py").read_text() == GOOD) is allowed

    def test_an_unanswered_question_means_no(self, start: Callable, workspace_dir: Path) -> None:
        run = start(workspace_dir, [GOOD], yes=False, interactive=True)
        assert finished(run.turn("fix the failing test")).outcome == "refused"


class TestBadInput:
    def test_outside(self, start: Callable, workspace_dir: Path) -> None:
        run = start(workspace_dir, [])
        events = run.turn("fix ../other.py")
        assert finished(events).exit_code == 3
        assert only(events, Failed)[0].kind == "OutsideWorkspace"

    def test_outside_through_a_link(self, start: Callable, workspace_dir: Path) -> None:
        (workspace_dir / "link").symlink_to("/etc")
        events = start(workspace_dir, []).turn("fix link/passwd.py")
        assert finished(events).exit_code == 3

    def test_an_existing_absolute_path(self, start: Callable, workspace_dir: Path) -> None:
        assert finished(start(workspace_dir, []).turn("change /etc/passwd")).exit_code == 3

    def test_a_binary_file(self, start: Callable, workspace_dir: Path) -> None:
        (workspace_dir / "data.py").write_bytes(b"\0\1\2\xff" * 100)
        events = start(workspace_dir, []).turn("fix data.py")
        assert finished(events).exit_code == 2
        assert "binary" in only(events, Failed)[0].message

    def test_a_check_that_does_not_exist(self, start: Callable, workspace_dir: Path) -> None:
        events = start(workspace_dir, [], check="no-such-program").turn(TASK)
        assert finished(events).exit_code == 2
        assert "cannot start" in only(events, Failed)[0].message

    def test_a_check_that_prints_a_lot(self, start: Callable, workspace_dir: Path) -> None:
        check = "yes | head -c 100000000; python -m pytest -q"
        events = start(workspace_dir, [GOOD], check=check).turn(TASK)
        assert finished(events).outcome == "solved"
        assert all(len(c.output) < 10_000 for c in only(events, CheckFinished))

    def test_no_check(self, start: Callable, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        run = start(folder, ["print('hi')\n"], check=None)
        events = run.turn("create hello.py that prints hi")
        end = finished(events)
        assert (end.outcome, end.exit_code) == ("unverified", 1)
        assert (folder / "hello.py").read_text() == "print('hi')\n"
        assert any("verified" in w.text for w in only(events, Warned))

    def test_an_empty_folder_without_a_named_file(self, start: Callable, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        end = finished(start(folder, [], check=None).turn("fix the bug"))
        assert (end.outcome, end.exit_code) == ("unsolved", 1)

    def test_a_path_with_spaces_and_unicode(self, start: Callable, tmp_path: Path) -> None:
        folder = tmp_path / "mein Projekt, 1:2 ü"
        folder.mkdir()
        (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
        (folder / "calc_test.py").write_text(
            "from calc import add\ndef test_add():\n    assert add(2, 3) == 5\n"
        )
        assert finished(start(folder, [GOOD]).turn(TASK)).outcome == "solved"


class TestLimits:
    def test_tokens(self, start: Callable, workspace_dir: Path) -> None:
        run = start(workspace_dir, [BAD, BAD, BAD, BAD], max_tokens=5)
        end = finished(run.turn(TASK))
        assert (end.outcome, end.exit_code) == ("limit", 5)
        assert end.completion_tokens <= 5

    def test_time(self, start: Callable, workspace_dir: Path) -> None:
        run = start(workspace_dir, [BAD], check="sleep 60", max_seconds=2.0)
        assert finished(run.turn(TASK)).exit_code == 5

    def test_cancelled(self, start: Callable, workspace_dir: Path) -> None:
        run = start(workspace_dir, [BAD, GOOD])
        events = []
        for event in run.session.run(TASK):
            events.append(event)
            if isinstance(event, CheckFinished):
                run.session.cancel()
        assert finished(events).exit_code == 130


def test_a_dead_worker_is_asked_again(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [ScriptedReply(error="WorkerDied"), GOOD])
    events = run.turn(TASK)
    assert finished(events).outcome == "solved"
    assert any("asking again" in w.text for w in only(events, Warned))


def test_a_worker_that_keeps_dying_ends_the_turn(start: Callable, workspace_dir: Path) -> None:
    before = (workspace_dir / "calc.py").read_bytes()
    run = start(workspace_dir, [ScriptedReply(error="WorkerDied", repeat=True)])
    end = finished(run.turn(TASK))
    assert (end.outcome, end.exit_code) == ("failed", 4)
    assert (workspace_dir / "calc.py").read_bytes() == before


def test_a_second_session_can_only_read(start: Callable, workspace_dir: Path) -> None:
    first = start(workspace_dir, [GOOD])
    second = start(workspace_dir, ["It subtracts."])
    assert second.session.started.read_only
    events = second.turn(TASK)
    assert finished(events).exit_code == 3
    assert finished(second.turn("What does add do?")).outcome == "answered"
    assert finished(first.turn(TASK)).outcome == "solved"


def test_a_dirty_git_tree_is_kept(start: Callable, workspace_dir: Path) -> None:
    import subprocess

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=workspace_dir, check=True, capture_output=True, text=True
        )
        return done.stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "start")
    (workspace_dir / "notes.txt").write_text("mine\n")
    (workspace_dir / "calc_test.py").write_text(
        (workspace_dir / "calc_test.py").read_text() + "\n# mine\n"
    )
    git("add", "notes.txt")
    index = (workspace_dir / ".git" / "index").read_bytes()
    assert finished(start(workspace_dir, [GOOD]).turn(TASK)).outcome == "solved"
    assert (workspace_dir / ".git" / "index").read_bytes() == index
    assert "# mine" in (workspace_dir / "calc_test.py").read_text()


def test_resume_continues_the_conversation(start: Callable, workspace_dir: Path) -> None:
    first = start(workspace_dir, [GOOD])
    first.turn(TASK)
    first.session.close()
    again = start(workspace_dir, ["It adds."], resume=first.session.id)
    events = again.turn("What does add in calc.py do?")
    assert again.session.started.resumed
    assert finished(events).turn == 2
    assert again.session.conversation[0].content == TASK
    assert only(events, MessageAdded)[-1].content == "It adds."


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_endings_are_kept(start: Callable, workspace_dir: Path, newline: str) -> None:
    text = "def add(a, b):\n    return a - b\n".replace("\n", newline)
    (workspace_dir / "calc.py").write_bytes(text.encode())
    start(workspace_dir, [GOOD]).turn(TASK)
    assert (workspace_dir / "calc.py").read_bytes() == GOOD.replace("\n", newline).encode()


def test_a_question_goes_on_from_the_one_before(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "money.py").write_text("def round_cents(value):\n    return round(value, 2)\n")
    run = start(workspace_dir, ["It rounds to two places.", "In calc_test.py."])
    run.turn("What does round_cents do?")
    run.turn("And why is that?")
    first, second = run.model.prompts
    assert "What does round_cents do?" not in first.split("round_cents", 1)[0]
    assert "It rounds to two places." in second
    assert "def round_cents(value):" in second  # found again, by the question before
    assert second.index("It rounds to two places.") < second.index("And why is that?")
