"""Models in several files: found by name, pinned part by part, verified before each load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.errors import ModelFileError, ModelLoadError, ModelNotInstalled, UsageError
from localagent.models import split_files
from localagent.models.catalog import lock, manage, verification
from localagent.models.catalog.lock import ModelEntry
from localagent.models.chat_templates import inspection
from tests.doubles.gguf_file import gguf

NAMES = [f"toy-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]


@pytest.fixture(autouse=True)
def uninspected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inspection of a chat template starts a process."""
    monkeypatch.setattr(inspection, "inspect", lambda template: None)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A model in three files, without a chat template."""
    for number, name in enumerate(NAMES):
        keys = {"split.count": 3, "split.no": number, "tokenizer.chat_template": None}
        (tmp_path / name).write_bytes(gguf(keys))
    return [tmp_path / name for name in NAMES]


def pin(paths: list[Path]) -> ModelEntry:
    return manage.add(paths[1]).entry  # whichever part the user names


def test_the_header_counts_all_parts(paths: list[Path]) -> None:
    whole = split_files.read_by_name(paths[0])
    assert not whole.unusable
    assert whole.size == sum(path.stat().st_size for path in paths)
    assert whole.parameters == 3 * 64 * 5
    assert "part 2 of 3" in split_files.read_by_name(paths[1]).unusable


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda paths: paths[2].unlink(), f"{NAMES[2]} is not beside it"),
        (lambda paths: paths[1].write_bytes(paths[2].read_bytes()), f"{NAMES[1]} is not part 2"),
        (lambda paths: paths[2].write_bytes(paths[2].read_bytes()[:-9]), f"{NAMES[2]} is cut"),
    ],
)
def test_parts_that_do_not_belong_together(
    paths: list[Path], change: Callable[[list[Path]], object], reason: str
) -> None:
    change(paths)
    assert reason in split_files.read_by_name(paths[0]).unusable
    with pytest.raises(ModelLoadError, match="cannot be used"):
        manage.add(paths[0])


def test_all_parts_are_pinned_and_verified(paths: list[Path]) -> None:
    entry = pin(paths)
    assert (entry.file, [part.file for part in entry.parts]) == (NAMES[0], NAMES[1:])
    stored = lock.parse(lock.dump(lock.load_user()), "x").models[0]
    assert (stored.id, stored.parts) == (entry.id, entry.parts)
    assert not manage.add(paths[0]).changed
    assert entry.all_bytes == sum(path.stat().st_size for path in paths)
    entry = lock.load().entry(entry.id)
    file = verification.VerifiedFile(entry)
    assert [file.path, *file.parts] == paths
    data = bytearray(paths[2].read_bytes())
    data[-1] ^= 1
    paths[2].write_bytes(data)
    assert verification.state(entry) == "unverified"
    with pytest.raises(ModelFileError, match=NAMES[2]):
        file.again()


def test_a_missing_part(paths: list[Path]) -> None:
    pinned = pin(paths)
    entry = lock.load().entry(pinned.id)
    paths[1].unlink()
    assert verification.state(entry) == "missing"
    with pytest.raises(ModelNotInstalled, match="no longer at"):
        verification.path_for(entry)
    with pytest.raises(UsageError, match="3 files"):
        manage.fetch(entry.id)


def test_the_pin_covers_every_part(paths: list[Path]) -> None:
    entry = pin(paths)
    other = entry.parts[1].model_copy(update={"sha256": "0" * 64})
    changed = entry.model_copy(update={"parts": (entry.parts[0], other)})
    assert len({entry.pin, entry.sha256, changed.pin}) == 3
