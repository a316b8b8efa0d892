"""The log of a turn's transactions, and the contents that are stored for undo."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from localagent.core.errors import WorkspaceError
from localagent.history.checkpoints.blobs import Blobs
from localagent.history.checkpoints.change_set import PathChange
from localagent.history.checkpoints.turn_log import (
    Transaction,
    TransactionKind,
    TurnLog,
    all_logs,
    last_done,
    net_changes,
    turn_logs,
)
from localagent.workspace.safe_files import ABSENT, PathState


def file(content: str) -> PathState:
    return PathState("file", 0o644, content * 64, 1)


def transaction(
    id_: str, *steps: PathChange, kind: TransactionKind = "turn", workspace: str = "/w"
) -> Transaction:
    return Transaction(id_, kind, workspace, 1, steps)


MADE = PathChange("a", ABSENT, file("1"))
CHANGED = PathChange("a", file("1"), file("2"))


@pytest.fixture
def log(tmp_path: Path) -> TurnLog:
    (tmp_path / "s1").mkdir()
    return TurnLog(tmp_path / "s1", 1)


def test_a_transaction_is_open_until_it_is_done_or_reverted(log: TurnLog) -> None:
    for name in ("one", "two", "three"):
        log.intent(transaction(name, MADE))
    log.done("two", {"a": 0o600})
    log.reverted("three", ["a"])
    one, two, three = log.transactions()
    assert [t.outcome for t in (one, two, three)] == ["open", "done", "reverted"]
    assert (one.steps, two.steps[0].after.mode) == ((MADE,), 0o600)
    assert last_done(log.transactions()) == two


def test_damaged_and_foreign_lines_are_skipped(log: TurnLog) -> None:
    log.intent(transaction("one", MADE))
    path = log.session_dir / "checkpoints" / "turn-0001.jsonl"
    with path.open("ab") as written:
        written.write(b'{"op":"done","id":"unknown","modes":{}}\n{"op":"later","id":"one"}\n{"op"')
    log.intent(transaction("two", CHANGED))
    assert [t.id for t in log.transactions()] == ["one", "two"]


def test_all_logs_are_found(log: TurnLog, tmp_path: Path) -> None:
    log.intent(transaction("one", MADE))
    TurnLog(log.session_dir, 2).intent(transaction("two", MADE, workspace="/elsewhere"))
    (log.session_dir / "checkpoints" / "turn-1.jsonl").touch()
    assert [each.turn for each in turn_logs(log.session_dir)] == [1, 2]
    assert [(each.session, each.turn) for each in all_logs(tmp_path)] == [("s1", 1), ("s1", 2)]
    assert list(all_logs(tmp_path / "nowhere")) == []


def done(*kinds_and_steps: tuple[TransactionKind, PathChange]) -> list[Transaction]:
    return [
        Transaction(str(n), kind, "/w", n, (step,), "done")
        for n, (kind, step) in enumerate(kinds_and_steps)
    ]


def test_net_changes_join_the_changes_of_a_path() -> None:
    (change,) = net_changes(done(("turn", MADE), ("turn", CHANGED))).values()
    assert (change.before, change.after) == (ABSENT, file("2"))
    assert set(change.known) == {ABSENT, file("1"), file("2")}


def test_an_undo_leaves_nothing_and_a_redo_brings_it_back() -> None:
    back = PathChange("a", file("1"), ABSENT)
    assert net_changes(done(("turn", MADE), ("undo", back))) == {}
    again = net_changes(done(("turn", MADE), ("undo", back), ("redo", MADE)))
    assert again["a"].after == file("1")


def test_a_path_that_is_as_before_has_no_net_change() -> None:
    back = PathChange("a", file("1"), ABSENT)
    assert net_changes(done(("turn", MADE), ("turn", back))) == {}


def test_blobs_store_a_content_once_by_its_hash(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    name = hashlib.sha256(b"data").hexdigest()
    assert (blobs.size(), blobs.has(name)) == (0, False)
    assert blobs.keep(name, io.BytesIO(b"data"))
    assert (blobs.size(), blobs.has(name), blobs.bytes(name)) == (4, True, b"data")
    assert not blobs.keep("0" * 64, io.BytesIO(b"changed"))
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == [name]
    with pytest.raises(WorkspaceError, match="is missing from"):
        blobs.open("0" * 64)
