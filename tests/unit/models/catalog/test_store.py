"""The model folder: installing, resuming, refusing, verifying."""

from __future__ import annotations

import errno
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from localagent.core.errors import ModelFileError, ModelNotInstalled, UsageError
from localagent.core.paths import models_dir, state_dir
from localagent.models.catalog import download, store, verification
from localagent.models.catalog.download import Phase
from localagent.models.catalog.lock import LocalFile, ModelEntry


@dataclass
class Cut:
    """Bytes in memory as pieces; `stop_in` breaks off in the middle of that piece."""

    data: bytes
    piece: int = 50_000
    stop_in: int | None = None
    label: str = "cut"
    extra_bytes: int = 0
    phase: Phase = "copying"
    opened: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        return -(-len(self.data) // self.piece)

    @contextmanager
    def open(
        self, number: int, folder: Path, received: Callable[[int], None]
    ) -> Iterator[BinaryIO]:
        self.opened.append(number)
        data = self.data[number * self.piece :][: self.piece]
        yield Breaking(data) if number == self.stop_in else io.BytesIO(data)


class Breaking(io.BytesIO):
    """Gives half of its bytes and then stops as Ctrl-C does."""

    def read(self, size: int | None = -1) -> bytes:
        half = len(self.getvalue()) // 2
        if self.tell() >= half:
            raise KeyboardInterrupt
        return super().read(half)


def left_over() -> list[str]:
    return sorted(p.name for p in models_dir().iterdir() if not p.name.endswith(".lock"))


def test_installs_a_file_and_verifies_it(entry: ModelEntry, model_bytes: bytes) -> None:
    path = store.install(entry, Cut(model_bytes))
    assert path == models_dir() / "test-model.gguf"
    assert path.read_bytes() == model_bytes
    assert path.stat().st_mode & 0o777 == 0o400
    assert left_over() == ["test-model.gguf"]
    assert verification.state(entry) == "installed"
    assert verification.path_for(entry) == path


def test_an_interrupted_install_goes_on_after_the_last_whole_piece(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=2))
    assert verification.state(entry) == "incomplete"
    with pytest.raises(ModelNotInstalled):
        verification.path_for(entry)
    again = Cut(model_bytes)
    assert store.install(entry, again).read_bytes() == model_bytes
    assert again.opened == [2, 3]


@pytest.mark.parametrize("keep", [0, 1, 49_999, 50_000, 99_999, 100_000, 120_000])
def test_resumes_from_any_length_of_the_partial_file(
    entry: ModelEntry, model_bytes: bytes, keep: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=2))
    file = models_dir() / "test-model.gguf.partial"
    os.truncate(file, keep)
    again = Cut(model_bytes)
    assert store.install(entry, again).read_bytes() == model_bytes
    assert again.opened == list(range(min(keep // 50_000, 2), 4))


def test_a_damaged_partial_file_is_not_built_upon(entry: ModelEntry, model_bytes: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=3))
    file = models_dir() / "test-model.gguf.partial"
    data = bytearray(file.read_bytes())
    data[60_000] ^= 1
    file.write_bytes(data)
    again = Cut(model_bytes)
    assert store.install(entry, again).read_bytes() == model_bytes
    assert again.opened == [1, 2, 3]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"label":"cut"}', '{"ends":[["x",1]]}'])
def test_an_unreadable_note_means_starting_afresh(
    entry: ModelEntry, model_bytes: bytes, note: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=2))
    (models_dir() / "test-model.gguf.partial.json").write_text(note)
    again = Cut(model_bytes)
    assert store.install(entry, again).read_bytes() == model_bytes
    assert again.opened == [0, 1, 2, 3]


def test_pieces_of_another_source_are_not_mixed_in(entry: ModelEntry, model_bytes: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=2))
    other = Cut(model_bytes, piece=30_000, label="other")
    assert store.install(entry, other).read_bytes() == model_bytes
    assert other.opened[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "sha256"),
        (lambda data: data[:-1], "bytes instead of"),
        (lambda data: data + b"x", "more than"),
    ],
)
def test_what_is_not_pinned_is_refused_and_removed(
    entry: ModelEntry, model_bytes: bytes, change: Callable[[bytes], bytes], said: str
) -> None:
    with pytest.raises(ModelFileError, match=said) as caught:
        store.install(entry, Cut(change(model_bytes)))
    assert caught.value.exit_code == 4
    assert not (models_dir() / "test-model.gguf").exists()
    # A good source works right afterwards.
    assert store.install(entry, Cut(model_bytes)).read_bytes() == model_bytes
    assert left_over() == ["test-model.gguf"]


def test_an_installed_file_is_not_fetched_again(entry: ModelEntry, model_bytes: bytes) -> None:
    store.install(entry, Cut(model_bytes))
    again = Cut(model_bytes)
    store.install(entry, again)
    assert again.opened == []


def test_an_altered_installed_file_is_refused_not_repaired(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    path = store.install(entry, Cut(model_bytes))
    path.chmod(0o600)
    path.write_bytes(model_bytes[:-1] + b"?")
    with pytest.raises(ModelFileError, match="is not what") as caught:
        store.install(entry, Cut(model_bytes))
    assert "models remove" in caught.value.hint
    assert path.read_bytes().endswith(b"?")


def alter(path: Path) -> None:
    """Change one byte; size and modification time stay as they were."""
    status = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as stream:
        first = stream.read(1)
        stream.seek(0)
        stream.write(bytes([first[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_one_altered_byte_is_found_by_a_deep_look(entry: ModelEntry, model_bytes: bytes) -> None:
    path = store.install(entry, Cut(model_bytes))
    alter(path)
    with pytest.raises(ModelFileError, match="sha256"):
        verification.path_for(entry, deep=True)


def test_one_altered_byte_is_found_before_loading(entry: ModelEntry, model_bytes: bytes) -> None:
    path = store.install(entry, Cut(model_bytes))
    verification.path_for(entry)
    alter(path)
    with pytest.raises(ModelFileError, match="sha256"):
        verification.path_for(entry)
    with pytest.raises(ModelFileError):
        verification.path_for(entry)  # and again, the failure is not remembered as a success


def test_a_truncated_file_is_named_with_both_sizes(entry: ModelEntry, model_bytes: bytes) -> None:
    path = store.install(entry, Cut(model_bytes))
    path.chmod(0o600)
    os.truncate(path, 100_000)
    with pytest.raises(ModelFileError, match=r"has 100,000 bytes; .* pins 162,345"):
        verification.path_for(entry)
    assert verification.state(entry) == "altered"


def test_an_unchanged_file_is_not_read_again(entry: ModelEntry, model_bytes: bytes) -> None:
    store.install(entry, Cut(model_bytes))
    seen: list[download.Progress] = []
    verification.path_for(entry, report=seen.append)
    assert seen == []
    (state_dir() / "verified.json").unlink()
    assert verification.state(entry) == "unverified"
    verification.path_for(entry, report=seen.append)
    assert [p.phase for p in seen][-1:] == ["verifying"]
    assert verification.state(entry) == "installed"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}'])
def test_a_damaged_verification_record_only_costs_a_read(
    entry: ModelEntry, model_bytes: bytes, text: str
) -> None:
    path = store.install(entry, Cut(model_bytes))
    (state_dir() / "verified.json").write_text(text)
    assert verification.path_for(entry) == path


def test_a_missing_model_says_how_to_get_it(entry: ModelEntry) -> None:
    with pytest.raises(ModelNotInstalled) as caught:
        verification.path_for(entry)
    assert caught.value.hint == "localagent models fetch test-model"
    assert caught.value.exit_code == 2


def test_a_folder_in_the_files_place_is_refused(entry: ModelEntry) -> None:
    (models_dir() / entry.file).mkdir(parents=True)
    with pytest.raises(ModelFileError, match="not a regular file"):
        verification.path_for(entry)


def test_a_file_pinned_in_place_is_used_where_it_is(
    entry: ModelEntry, model_bytes: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "my model.gguf"
    here = entry.model_copy(update={"sources": (LocalFile(kind="file", path=str(file)),)})
    with pytest.raises(ModelNotInstalled, match="no longer at"):
        verification.path_for(here)
    file.write_bytes(model_bytes)
    assert verification.path_for(here) == file
    assert verification.pinned_in_place(here)
    assert store.remove(here) == 0
    assert file.exists()


def test_too_little_space_is_said_beforehand_with_both_numbers(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    huge = entry.model_copy(update={"bytes": 1 << 60})
    source = Cut(model_bytes)
    with pytest.raises(UsageError, match=r"not enough space .* GB needed, .* GB free"):
        store.install(huge, source)
    assert source.opened == []


class Full(Cut):
    """A source in whose second piece the disk runs full."""

    @contextmanager
    def open(
        self, number: int, folder: Path, received: Callable[[int], None]
    ) -> Iterator[BinaryIO]:
        if number == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with super().open(number, folder, received) as stream:
            yield stream


def test_a_disk_that_runs_full_is_one_line_and_can_go_on(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    with pytest.raises(UsageError, match="not enough space"):
        store.install(entry, Full(model_bytes))
    again = Cut(model_bytes)
    store.install(entry, again)
    assert again.opened == [1, 2, 3]


def test_two_installs_of_one_model_at_once_are_kept_apart(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    models_dir().mkdir(parents=True)
    with (models_dir() / ".test-model.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process"):
            store.install(entry, Cut(model_bytes))
    store.install(entry, Cut(model_bytes))


def test_progress_counts_up_to_the_files_size(entry: ModelEntry, model_bytes: bytes) -> None:
    seen: list[download.Progress] = []
    store.install(entry, Cut(model_bytes, piece=10_000), seen.append)
    done = [p.done for p in seen]
    assert done == sorted(done) and done[-1] == entry.bytes == seen[-1].total


def test_removing_frees_the_file_and_what_is_left_of_fetching(
    entry: ModelEntry, model_bytes: bytes
) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.install(entry, Cut(model_bytes, stop_in=2))
    assert store.remove(entry) > 100_000
    assert left_over() == []
    store.install(entry, Cut(model_bytes))
    assert store.remove(entry) == entry.bytes
    assert verification.state(entry) == "missing"
