"""models.lock: reading, errors that name file and key, merging, writing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import LockError, UsageError
from localagent.models.base import Profile
from localagent.models.catalog import lock
from localagent.models.catalog.lock import LocalFile, LockFile, ModelEntry
from localagent.models.chat_templates.form import TemplateForm

GOOD = """
version = 1
default = "a"

[[model]]
id = "a"
file = "a.gguf"
bytes = 3
sha256 = "{sha}"

[model.profile]
planner = "react"
window = 4096

[[model.source]]
kind = "wheel-parts"
package = "some-part{{n}}"
version = "1.0"
count = 2
member = "some_part{{n}}/part{{n:02d}}.bin"
""".format(sha="0" * 64)


def test_the_shipped_lock_pins_both_models() -> None:
    known = lock.load()
    assert known.default == "qwen2.5-coder-1.5b-instruct"
    default, small = known.entry(), known.entry("qwen2.5-coder-0.5b-instruct")
    assert (default.bytes, small.bytes) == (1_117_320_768, 491_400_064)
    assert default.sha256.startswith("cc324af0") and small.sha256.startswith("1d961463")
    assert all(e.license == "Apache-2.0" and e.profile.fim for e in known.entries)


def test_the_profile_becomes_a_plain_value() -> None:
    entry = lock.parse(GOOD, "x").models[0]
    assert entry.profile.profile() == Profile(planner="react", window=4096)


def test_an_unknown_id_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        lock.load().entry("gpt")
    assert "gpt" in caught.value.message
    assert "qwen2.5-coder-0.5b-instruct" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version = 1", "version = 2", "version 2"),
        ("version = 1", "", "key version"),
        ('id = "a"', 'id = "A b"', "key id: must be lower-case"),
        ("bytes = 3", "bytes = 0", 'model "a", key bytes'),
        ("bytes = 3", 'bytes = "3"', 'model "a", key bytes'),
        ("0" * 64, "xyz", 'model "a", key sha256: must be 64 hexadecimal digits'),
        ("a.gguf", "../a.gguf", 'model "a", key file: must be a plain file name'),
        ("a.gguf", "/etc/a.gguf", 'model "a", key file: must be a plain file name'),
        ('planner = "react"', 'planer = "react"', 'model "a", key profile.planer'),
        ("window = 4096", "window = 12", 'model "a", key profile.window'),
        ("some-part{n}", "--index-url=x", "must be a package name"),
        ("some-part{n}", "some{n.__class__}", "must be a package name"),
        ('version = "1.0"', 'version = "1.0 --pre"', "must be a version number"),
        ('kind = "wheel-parts"', 'kind = "url"', "'url'"),
        ("[[model]]", "[[model]", "not valid TOML"),
    ],
)
def test_a_bad_lock_is_refused_with_file_and_key(old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(LockError) as caught:
        lock.parse(GOOD.replace(old, new, 1), "/some/models.lock")
    assert said in caught.value.message
    assert caught.value.message.startswith("/some/models.lock")
    assert "\n" not in caught.value.message


def test_two_models_of_one_id_or_one_file_are_refused() -> None:
    with pytest.raises(LockError, match="twice"):
        lock.parse(GOOD + GOOD.split('default = "a"')[1], "x")
    other = (
        GOOD.split('default = "a"')[1].replace('id = "a"', 'id = "b"').replace("0" * 64, "1" * 64)
    )
    with pytest.raises(LockError, match="another model has a file of this name"):
        lock.parse(GOOD + other, "x")


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="cannot read"):
        lock.read(tmp_path / "none")
    (tmp_path / "models.lock").write_bytes(b"\xff\xfe")
    with pytest.raises(LockError, match="cannot read"):
        lock.read(tmp_path / "models.lock")


def test_the_users_lock_adds_models_and_chooses_the_default(entry: ModelEntry, home: Path) -> None:
    path = lock.save_user(LockFile(version=1, default=entry.id, model=(entry,)))
    assert path == home / ".config/localagent/models.lock"
    known = lock.load()
    assert known.entry() == entry
    assert known.entry("qwen2.5-coder-1.5b-instruct").bytes == 1_117_320_768
    assert lock.load_user().models == (entry,)
    assert [p.name for p in path.parent.iterdir()] == ["models.lock"]


def test_the_users_lock_cannot_change_a_shipped_models_bytes(entry: ModelEntry) -> None:
    shadow = entry.model_copy(update={"id": "qwen2.5-coder-1.5b-instruct"})
    with pytest.raises(LockError, match="shipped"):
        lock.save_user(LockFile(version=1, model=(shadow,)))
    assert not lock.user_path().exists()
    path = lock.user_path()
    path.parent.mkdir(parents=True)
    path.write_text(lock.dump(LockFile(version=1, model=(shadow,))))
    with pytest.raises(LockError, match="shipped") as caught:
        lock.load()
    assert str(path) in caught.value.message


def test_the_users_lock_may_give_a_shipped_model_a_place_and_a_profile() -> None:
    shipped = lock.load().entry()
    here = LocalFile(kind="file", path="/media/usb/q.gguf")
    profile = shipped.profile.model_copy(update={"window": 4096})
    mine = shipped.model_copy(update={"sources": (here,), "profile": profile, "license": "?"})
    lock.save_user(LockFile(version=1, model=(mine,)))
    merged = lock.load().entry(shipped.id)
    assert merged.sources == (here, *shipped.sources)
    assert merged.profile.window == 4096
    assert merged.license == shipped.license


def test_a_lock_of_an_older_version_is_read_and_written_in_the_new_form() -> None:
    old = GOOD.replace('id = "a"', 'id = "a"\nlicence = "MIT"')
    old = old.replace('planner = "react"', 'planner = "react"\nedit_format = "whole"')
    read = lock.parse(old, "mine")
    assert read.models[0].license == "MIT"
    assert read.warnings == (
        "mine: the key licence is now called license; the next release does not read it",
    )
    written = lock.dump(read)
    assert "licence" not in written and "edit_format" not in written
    assert lock.parse(written, "mine").warnings == ()
    assert lock.parse(old.replace('licence = "MIT"', ""), "mine").warnings == ()


def test_the_old_and_the_new_name_of_a_key_together_are_refused() -> None:
    both = GOOD.replace('id = "a"', 'id = "a"\nlicence = "MIT"\nlicense = "MIT"')
    with pytest.raises(LockError, match="licence"):
        lock.parse(both, "mine")


@pytest.mark.parametrize(
    ("model_id", "hint"),
    [
        ("alpha-1b-instrukt", "did you mean alpha-1b-instruct? known are: "),
        ("beta", "did you mean beta-7b? known are: "),
        ("gpt-9", "known are: "),
    ],
)
def test_a_mistyped_id_gets_the_nearest_ids(model_id: str, hint: str) -> None:
    known = ["alpha-1b-instruct", "beta-7b"]
    assert lock.unknown_model(model_id, known).hint == hint + ", ".join(known)


def test_an_unknown_default_is_refused(entry: ModelEntry) -> None:
    with pytest.raises(LockError, match="default"):
        lock.save_user(LockFile(version=1, default="nothing", model=(entry,)))


entries = st.builds(
    lambda **values: ModelEntry.model_validate(values),
    id=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,30}", fullmatch=True),
    file=st.from_regex(r"[A-Za-z0-9_][^/\\\x00-\x1f\ud800-\udfff]{0,30}", fullmatch=True),
    bytes=st.integers(1, 1 << 40),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    license=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    origin=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    profile=st.fixed_dictionaries(
        {"window": st.integers(1024, 1 << 20), "temperature": st.floats(0, 2), "fim": st.booleans()}
    ),
    source=st.lists(
        st.builds(lambda name: LocalFile(kind="file", path=f"/{name}"), st.from_regex(r"[a-zé 7]+"))
    ),
)


@given(entries)
def test_what_is_written_is_read_back(made: ModelEntry) -> None:
    written = LockFile(version=1, default=made.id, model=(made,))
    assert lock.parse(lock.dump(written), "x") == written


def test_the_form_of_a_template_is_written_and_read_again() -> None:
    form = TemplateForm(system="user", off={"enable_thinking": False}, date="2026-05-04")
    entry = ModelEntry.model_validate(
        {"id": "toy", "file": "toy.gguf", "bytes": 1, "sha256": "0" * 64, "template": form}
    )
    text = lock.dump(lock.LockFile(version=1, model=(entry,)))
    assert lock.parse(text, "models.lock").models == (entry,)
    with pytest.raises(LockError, match="template"):
        lock.parse(text.replace('system = "user"', 'system = "elsewhere"'), "models.lock")
