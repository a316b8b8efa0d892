"""The KV cache on disk: found by its tokens, used only if it is what was written, bounded."""

import os
from pathlib import Path

import pytest

from localagent.models.llamacpp.worker.kv_files import KvFiles
from localagent.models.llamacpp.worker.prompt_cache import Memory, TextCheckpoint

LIMIT = 10_000


def opened(folder: Path, key: str = "model", limit: int = LIMIT) -> KvFiles:
    return KvFiles(folder, key, limit)


def add(files: KvFiles, tokens: list[int], size: int = 1000) -> bool:
    return files.add(Memory(tokens), lambda path: path.write_bytes(bytes(size)))  # type: ignore[func-returns-value]


def read(files: KvFiles, tokens: list[int]) -> bytes | None:
    stored, _ = files.best(tokens)
    found: list[bytes] = []

    def take(path: Path) -> bool:
        found.append(path.read_bytes())
        return True

    return found[0] if stored is not None and files.read(stored, take) else None


def test_a_state_is_found_by_another_process_with_the_marks_of_its_text(tmp_path: Path) -> None:
    memory = Memory([1, 2, 3], [TextCheckpoint(5, "ab" * 32, 3)], "hello")
    assert opened(tmp_path).add(memory, lambda path: path.write_text("state"))  # type: ignore[func-returns-value]
    (stored,) = opened(tmp_path).stored
    assert (stored.memory.tokens, stored.memory.checkpoints) == ([1, 2, 3], memory.checkpoints)
    assert stored.memory.text is None
    assert read(opened(tmp_path), [1, 2, 3, 4]) == b"state"


def test_most_of_the_beginning_wins_and_then_the_least_to_read(tmp_path: Path) -> None:
    files = opened(tmp_path)
    for tokens in ([1, 2], [1, 2, 3, 9, 9], [1, 2, 3], [7]):
        add(files, tokens)
    stored, common = files.best([1, 2, 3, 4])
    assert stored is not None
    assert (stored.memory.tokens, common) == ([1, 2, 3], 3)
    assert files.best([8]) == (None, 0)


def test_another_model_or_setting_finds_nothing(tmp_path: Path) -> None:
    add(opened(tmp_path, "one"), [1, 2, 3])
    assert opened(tmp_path, "two").best([1, 2, 3]) == (None, 0)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "other"])
def test_a_state_that_is_not_what_was_written_is_removed(tmp_path: Path, damage: str) -> None:
    add(opened(tmp_path), [1, 2, 3])
    files = opened(tmp_path)
    (path,) = tmp_path.glob("*/*.kv")
    if damage == "flip":
        path.write_bytes(b"\1" + path.read_bytes()[1:])
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "gone":
        path.unlink()
    else:
        assert not files.read(files.stored[0], lambda path: False)
    if damage != "other":
        assert read(files, [1, 2, 3]) is None
    assert files.stored == []
    assert list(tmp_path.glob("*/*")) == []


def test_facts_that_are_none_are_passed_over(tmp_path: Path) -> None:
    add(opened(tmp_path), [1, 2, 3])
    (facts,) = tmp_path.glob("*/*.json")
    for text in ("", "{}", "[1", '{"tokens":[-1],"marks":[],"bytes":1000,"sha256":""}'):
        facts.write_text(text)
        assert opened(tmp_path).stored == []
    facts.unlink()
    assert opened(tmp_path).stored == []
    assert add(opened(tmp_path), [1, 2, 3])
    assert len(opened(tmp_path).stored) == 1


def test_the_longest_unused_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    files = opened(tmp_path)
    for number in range(10):
        add(files, [number], 2000)
        for age, path in enumerate(sorted(tmp_path.glob("*/*.kv"), key=os.path.getmtime)):
            os.utime(path, (1000 + age, 1000 + age))
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.kv")) <= LIMIT
    assert files.has([9]) and not files.has([0])
    assert {s.memory.tokens[0] for s in files.stored} == {5, 6, 7, 8, 9}


def test_another_models_states_count_too(tmp_path: Path) -> None:
    for number in range(5):
        add(opened(tmp_path, f"model {number}"), [1], 3000)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.kv")) <= LIMIT


def test_what_is_larger_than_the_limit_is_not_kept_and_harms_nothing(tmp_path: Path) -> None:
    files = opened(tmp_path)
    add(files, [1])
    assert not add(files, [2], LIMIT + 1)
    assert read(files, [1]) is not None
    assert len(list(tmp_path.glob("*/*"))) == 2


def test_a_disk_that_fails_costs_nothing_but_the_cache(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    files = opened(tmp_path)
    assert not files.add(Memory([1]), fail)
    assert list(tmp_path.glob("*/*")) == []
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert not add(opened(blocked / "x"), [1])


def test_a_file_that_was_never_finished_is_removed_in_the_end(tmp_path: Path) -> None:
    files = opened(tmp_path)
    add(files, [1])
    (path,) = tmp_path.glob("*/*.kv")
    young, old = path.with_suffix(".1234"), path.with_suffix(".99")
    young.write_text("x")
    old.write_text("x")
    os.utime(old, (1000, 1000))
    add(files, [2])
    assert young.exists() and not old.exists()
