"""A batch: its tasks are read, each is done once, and what a kill left is done again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from localagent.core.errors import Interrupted, UsageError
from localagent.session.batch import runner
from localagent.session.batch.engines import run_here
from localagent.session.batch.results import BatchFolder, read_stream
from localagent.session.batch.runner import BatchOptions, Processes, run_task
from localagent.session.batch.tasks import BatchTask, read_tasks

END = {
    "type": "turn_finished",
    "outcome": "solved",
    "exit_code": 0,
    "summary": "done",
    "changed": ["a.py"],
    "prompt_tokens": 9,
    "reused_tokens": 4,
    "completion_tokens": 2,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchFolder:
    """A batch folder below the repository, which has no git."""
    monkeypatch.setattr(runner, "clean_head", lambda _root: "")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "a.py").write_text("old\n")
    return BatchFolder(repository / "tasks.batch")


def task_in(folder: BatchFolder, name: str = "t") -> BatchTask:
    return BatchTask(name, "fix a.py", folder.path.parent)


class Child:
    """Stands in for the process of a task: changes the copy, and writes the events."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.runs: list[list[str]] = []

    def __call__(self, words: list[str], log: Path, lock: int) -> int:
        work = Path(words[words.index("-C") + 1])
        assert sorted(p.name for p in work.iterdir()) == ["a.py"]
        assert (work / "a.py").read_text() == "old\n"
        (work / "a.py").write_text("new\n")
        self.runs.append(words)
        code = self.codes.pop(0)
        if code == 0:
            events = next(word.partition("=")[2] for word in words if word.startswith("--events="))
            Path(events).write_text(json.dumps(END) + '\n{"type": "cut o')
        if code == 130:
            raise Interrupted("stopped")
        return code


def test_a_task_is_carried_out_once(folder: BatchFolder) -> None:
    task, child = task_in(folder), Child(0)
    result = run_task(task, folder, BatchOptions(yes=True), child)
    assert (result.outcome, result.changed, result.prompt_tokens) == ("solved", ["a.py"], 5)
    assert run_task(task, folder, BatchOptions(yes=True), child) == result
    assert folder.results([task]) == [result]
    assert len(child.runs) == 1 and child.runs[0][-2:] == ["--", "fix a.py"]
    assert (task.repository / "a.py").read_text() == "old\n"
    assert not (folder.of(task) / "work").exists()


def test_what_a_killed_batch_left_is_removed(folder: BatchFolder) -> None:
    task = task_in(folder)
    work = folder.of(task) / "work"
    work.mkdir(parents=True)
    (work / "half.py").write_text("")
    (folder.of(task) / "events.ndjson").write_text(json.dumps(END | {"outcome": "unsolved"}))
    assert run_task(task, folder, BatchOptions(), Child(0)).outcome == "solved"


def test_a_killed_process_starts_again(folder: BatchFolder) -> None:
    result = run_task(task_in(folder), folder, BatchOptions(), Child(-9, -9, 0))
    assert (result.outcome, result.runs) == ("solved", 3)
    result = run_task(task_in(folder, "u"), folder, BatchOptions(), Child(-9, -9, -9))
    assert (result.outcome, result.exit_code) == ("failed", 137)
    assert result.summary == "the process ended by signal 9"


def test_an_interrupted_task_has_no_result(folder: BatchFolder) -> None:
    task = task_in(folder)
    with pytest.raises(Interrupted):
        run_task(task, folder, BatchOptions(), Child(130))
    assert folder.results([task]) == []


def test_after_an_interrupt_no_task_begins(folder: BatchFolder) -> None:
    child = Child(130, 0, 0)
    run = partial(run_task, folder=folder, options=BatchOptions(), start=child)
    with pytest.raises(Interrupted):
        list(run_here([task_in(folder, name) for name in "abc"], run, 1))
    assert len(child.runs) == 1
    stopped = Processes()
    stopped.stop()
    with pytest.raises(Interrupted):
        stopped.start([], folder.path / "log", 0)


def test_a_repository_that_is_gone_is_a_result(folder: BatchFolder) -> None:
    task = BatchTask("t", "x", folder.path / "gone")
    result = run_task(task, folder, BatchOptions(), Child())
    assert result.outcome == "error" and "cannot copy" in result.summary


def test_two_batches_do_not_share_a_folder(folder: BatchFolder) -> None:
    with folder.held(), pytest.raises(UsageError, match="another batch"), folder.held():
        pass


def test_a_folder_of_other_tasks_is_refused(folder: BatchFolder) -> None:
    run_task(task_in(folder), folder, BatchOptions(), Child(0))
    other = BatchTask("t", "another task", folder.path.parent)
    with pytest.raises(UsageError, match="another task"):
        folder.results([other])


def test_a_task_whose_folder_is_a_link_is_refused(folder: BatchFolder, tmp_path: Path) -> None:
    """A repository could bring the link, and a batch removes `work` and `git` in the folder."""
    outside = tmp_path / "outside"
    (outside / "work").mkdir(parents=True)
    (outside / "work/mine").write_text("kept")
    folder.path.mkdir()
    (folder.path / "t").symlink_to(outside)
    with pytest.raises(UsageError, match="is a link"):
        run_task(task_in(folder), folder, BatchOptions(), Child(0))
    assert [str(p.relative_to(outside)) for p in outside.rglob("*")] == ["work", "work/mine"]


def test_a_stream_that_was_cut_off_is_read(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text('{"type": "warned", "text": "a"}\n[]\n{"type": "warned", "text": "b"}\n{"ty')
    assert read_stream(file) == {"warned": {"type": "warned", "text": "b"}}
    assert read_stream(tmp_path / "gone") == {}


def test_options_become_those_of_the_command(tmp_path: Path) -> None:
    line = {"task": "--fix", "repository": ".", "check": "a b", "max_seconds": 5, "mode": "plan"}
    (tmp_path / "t.jsonl").write_text("\n" + json.dumps(line) + "\n")
    (task,) = read_tasks(tmp_path / "t.jsonl")
    assert task.id == "0002" and task.repository == tmp_path
    assert task.options() == [
        *("--check=a b", "--mode=plan", "--max-seconds=5", "--seed=0", "--", "--fix")
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{", "t.jsonl:1: the line is not JSON"),
        ("[]", "not a JSON object"),
        ('{"repository": "."}', "task is missing"),
        ('{"task": "x", "repository": "gone"}', "there is no folder"),
        ('{"task": "x", "repository": ".", "chek": "y"}', "unknown key 'chek'"),
        ('{"task": "x", "repository": ".", "max_seconds": "5"}', "max_seconds has the wrong type"),
        ('{"task": "x", "repository": ".", "max_tokens": true}', "max_tokens has the wrong type"),
        ('{"task": "x", "repository": ".", "id": "../x"}', "is not a name"),
        ('{"task": "x", "repository": ".", "id": "lock"}\n' * 2, "t.jsonl:2: the id 'lock' occurs"),
        ("", "holds no task"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, error: str) -> None:
    (tmp_path / "t.jsonl").write_text(line)
    with pytest.raises(UsageError) as raised:
        read_tasks(tmp_path / "t.jsonl")
    assert error in raised.value.message
