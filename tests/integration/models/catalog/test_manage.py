"""What the models commands do."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from localagent.core.errors import LockError, ModelFileError, ModelLoadError, UsageError
from localagent.models import gguf
from localagent.models.catalog import lock, manage, verification
from localagent.models.catalog.lock import LocalFile, LockFile, ModelEntry
from localagent.models.chat_templates.form import TemplateForm
from tests.doubles.gguf_file import MODEL
from tests.doubles.gguf_file import gguf as toy_gguf

SMALL = "qwen2.5-coder-0.5b-instruct"


@pytest.fixture
def pinned(entry: ModelEntry) -> ModelEntry:
    """The made-up model, in the user's lock."""
    lock.save_user(LockFile(version=1, model=(entry,)))
    return entry


@pytest.fixture
def usb(model_bytes: bytes, tmp_path: Path) -> Path:
    """A place to fetch the made-up model from."""
    file = tmp_path / "usb.gguf"
    file.write_bytes(model_bytes)
    return file


def test_the_list_shows_every_model_and_its_state(pinned: ModelEntry, usb: Path) -> None:
    rows = {row.entry.id: row for row in manage.list_models()}
    assert rows["qwen2.5-coder-1.5b-instruct"].default
    assert rows[pinned.id].state == "missing"
    manage.fetch(pinned.id, usb)
    rows = {row.entry.id: row for row in manage.list_models()}
    assert rows[pinned.id].state == "installed"


def test_fetch_a_second_time_does_nothing(pinned: ModelEntry, usb: Path) -> None:
    path = manage.fetch(pinned.id, usb)
    usb.unlink()
    assert manage.fetch(pinned.id) == path


def test_verify_finds_what_was_altered(pinned: ModelEntry, usb: Path) -> None:
    assert list(manage.verify()) == []
    with pytest.raises(UsageError):
        list(manage.verify("nothing"))
    assert [v.error and v.error.exit_code for v in manage.verify(pinned.id)] == [2]
    path = manage.fetch(pinned.id, usb)
    assert [v.error for v in manage.verify()] == [None]
    status = path.stat()
    path.chmod(0o600)
    with path.open("r+b") as stream:
        stream.write(b"\0\0")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    verdicts = list(manage.verify())
    assert [type(v.error) for v in verdicts] == [ModelFileError]
    assert [v.place for v in verdicts] == [str(path)]


def test_use_sets_the_default_for_good(pinned: ModelEntry) -> None:
    manage.use(pinned.id)
    assert lock.load().default == pinned.id
    with pytest.raises(UsageError):
        manage.use("nothing")
    assert lock.load().default == pinned.id


def test_remove_keeps_what_can_be_fetched_again(pinned: ModelEntry, usb: Path) -> None:
    manage.fetch(pinned.id, usb)
    removed = manage.remove(pinned.id)
    assert (removed.freed, removed.unpinned) == (pinned.bytes, False)
    assert lock.load().entry(pinned.id) == pinned


def test_remove_unpins_what_was_added_and_leaves_the_file(
    entry: ModelEntry, model_bytes: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "test-model.gguf"
    file.write_bytes(model_bytes)
    added = entry.model_copy(update={"sources": (LocalFile(kind="file", path=str(file)),)})
    lock.save_user(LockFile(version=1, default=entry.id, model=(added,)))
    assert verification.path_for(lock.load().entry()) == file
    removed = manage.remove(entry.id)
    assert (removed.freed, removed.unpinned) == (0, True)
    assert file.exists()
    assert lock.load().default == "qwen2.5-coder-1.5b-instruct"


@pytest.mark.parametrize(
    ("changes", "planner", "window"),
    [
        ({}, "react", 32768),
        ({"tools": False}, "workflow", 16384),
        ({"size_label": "1.5B"}, "workflow", 8192),
        ({"size_label": "600M"}, "workflow", 8192),
        ({"size_label": "", "parameters": 7_000_000_000, "size": 1}, "react", 32768),
        ({"size_label": "", "size": 1_000_000_000}, "workflow", 8192),
        ({"size_label": "", "size": 4_000_000_000}, "react", 32768),
        ({"context_length": 4096}, "react", 4096),
        ({"context_length": 512}, "react", 1024),
    ],
)
def test_the_proposed_profile_fits_the_models_size(
    tmp_path: Path, changes: dict[str, Any], planner: str, window: int
) -> None:
    path = tmp_path / "toy.gguf"
    path.write_bytes(toy_gguf())
    coder = {"size_label": "7B", "tools": True, "parameters": 0, "context_length": 32768}
    header = replace(gguf.read(path), **{**coder, **changes})
    entry = manage._file_entry(path, header, "0" * 64, None, lock.load())
    assert (entry.profile.planner, entry.profile.window) == (planner, window)


def test_a_file_is_pinned_with_what_its_header_says(tmp_path: Path) -> None:
    path = tmp_path / "toy.gguf"
    tokens = ["<unk>", "<s>", "</s>", "<PRE>", "<SUF>", "<MID>"]
    changes: dict[str, object] = {"general.license": "mit", "tokenizer.ggml.tokens": tokens}
    path.write_bytes(toy_gguf(changes))
    entry = manage.add(path).entry
    assert (entry.id, entry.license, entry.bytes) == ("toy-coder", "mit", path.stat().st_size)
    assert entry.chat_template_sha256 == gguf.text_sha256(str(MODEL["tokenizer.chat_template"]))
    assert (entry.profile.planner, entry.profile.fim) == ("workflow", True)
    assert entry.template == TemplateForm(date=date.today().isoformat())
    assert verification.path_for(lock.load().entry("toy-coder")) == path
    path.write_bytes(toy_gguf())
    assert manage.add(path).entry.profile.fim is False


def test_what_is_no_model_is_not_added(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        manage.add(tmp_path / "none.gguf")
    (tmp_path / "text.gguf").write_text("hello world")
    (tmp_path / "eyes.gguf").write_bytes(toy_gguf({"general.architecture": "clip"}))
    (tmp_path / "short.gguf").write_bytes(toy_gguf(cut=1))
    for name, reason in (("text", "not a GGUF file"), ("eyes", "mmproj"), ("short", "cut short")):
        with pytest.raises(ModelLoadError, match=reason) as caught:
            manage.add(tmp_path / f"{name}.gguf")
        assert caught.value.message.startswith(f"{name}.gguf cannot be used")
    assert not lock.user_path().exists()


def real_model() -> Path:
    folder = Path(os.environ.get("LOCALAGENT_TEST_MODEL_DIR", ""))
    return folder / lock.read(lock.shipped_path()).models[0].file


@pytest.mark.real_model
@pytest.mark.skipif(not real_model().is_file(), reason="the default model is not installed")
def test_a_known_model_is_recognised_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "any name.gguf"
    file.symlink_to(real_model())
    added = manage.add(file)
    assert added.changed
    assert added.entry.id == "qwen2.5-coder-1.5b-instruct"
    entry = lock.load().entry()
    assert verification.path_for(entry) == real_model().resolve()
    assert not manage.add(file).changed
    assert manage.remove(entry.id).unpinned
    assert real_model().is_file()


@pytest.mark.real_model
@pytest.mark.skipif(not real_model().is_file(), reason="the default model is not installed")
def test_an_unknown_model_gets_an_entry_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trailing bytes make it another file with the same metadata.
    file = tmp_path / "mine.gguf"
    shutil.copyfile(real_model(), file)
    with file.open("ab") as stream:
        stream.write(bytes(64))
    added = manage.add(file)
    assert added.entry.id == "qwen2.5-coder-1.5b-instruct-gguf"
    assert added.entry.profile.planner == "workflow"
    assert added.entry.profile.fim
    twin = lock.load().entry("qwen2.5-coder-1.5b-instruct")
    assert added.entry.chat_template_sha256 == twin.chat_template_sha256
    assert verification.path_for(lock.load().entry(added.entry.id)) == file
    manage.use(added.entry.id)
    assert lock.load().default == added.entry.id
    assert manage.remove(added.entry.id).unpinned
    assert file.exists()


def test_a_taken_id_is_refused(entry: ModelEntry) -> None:
    lock.save_user(LockFile(version=1, model=(entry,)))
    with pytest.raises(LockError):
        shadow = entry.model_copy(update={"id": SMALL})
        lock.save_user(LockFile(version=1, model=(shadow,)))
    assert lock.load().entry(SMALL).bytes == 491_400_064
