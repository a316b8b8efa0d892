"""Models of an Ollama server in models.lock: pinned with a proposed profile, listed, compared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localagent.config.settings import Settings
from localagent.core.errors import (
    LockError,
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    NotLocal,
    UsageError,
)
from localagent.core.messages import Message
from localagent.models.base import Request, Text
from localagent.models.catalog import lock, manage
from localagent.models.catalog.lock import LockFile, ModelEntry
from localagent.models.ollama import pinning
from localagent.session.models import open_model
from tests.doubles.ollama_server import DIGEST, Ollama, Pulled

ROOT = Path(__file__).resolve().parents[4]
GOOD = f"""
version = 1
default = "a"

[[model]]
id = "a"
backend = "ollama"
name = "toy:1b"
digest = "{DIGEST}"
"""


@pytest.fixture
def server() -> Iterator[Ollama]:
    with Ollama() as running:
        yield running


class TestEntry:
    def test_it_is_read_and_written(self) -> None:
        read = lock.parse(GOOD, "x")
        (entry,) = read.models
        assert (entry.name, entry.digest, entry.pin) == ("toy:1b", DIGEST, DIGEST)
        written = lock.dump(read)
        assert "\nsha256" not in written
        assert lock.parse(written, "x") == read

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('name = "toy:1b"', "", "name is missing: 'ollama' is pinned by name, digest"),
            (f'digest = "{DIGEST}"', "", "digest is missing"),
            ('backend = "ollama"', "", "file is missing: 'llamacpp' is pinned by file, bytes"),
            (DIGEST, "latest", 'model "a", key digest: must be 64 hexadecimal digits'),
            ("toy:1b", "toy 1b", 'model "a", key name: must be a model\'s name'),
            ("toy:1b", "-toy", 'model "a", key name: must be a model\'s name'),
            ('name = "toy:1b"', 'name = "toy:1b"\nfile = "a"', "file does not belong here"),
            ('backend = "ollama"', 'backend = "vllm"', 'model "a", key backend'),
        ],
    )
    def test_a_bad_one_is_refused(self, old: str, new: str, said: str) -> None:
        with pytest.raises(LockError) as caught:
            lock.parse(GOOD.replace(old, new, 1), "x")
        assert said in caught.value.message
        assert "\n" not in caught.value.message

    def test_a_user_cannot_shadow_a_shipped_model_with_one_of_a_server(self) -> None:
        text = GOOD.replace('"a"', '"qwen2.5-coder-1.5b-instruct"')
        with pytest.raises(LockError, match="with other bytes"):
            lock.save_user(lock.parse(text, "x"))


class TestAdd:
    def test_it_pins_what_is_there(self, server: Ollama) -> None:
        added = manage.add_from_ollama("toy:1b", server.url)
        entry = lock.load().entry("toy-1b")
        assert added.entry == entry
        assert (entry.backend, entry.name, entry.digest) == ("ollama", "toy:1b", DIGEST)
        assert entry.license == "Apache License"
        assert (entry.profile.planner, entry.profile.window) == ("workflow", 8192)
        assert entry.profile.fim
        assert "messages" not in str(server.seen), "nothing is loaded for it"

    def test_a_second_time_changes_nothing(self, server: Ollama) -> None:
        manage.add_from_ollama("toy:1b", server.url)
        again = manage.add_from_ollama("toy:1b", server.url, "other")
        assert (again.changed, again.entry.id) == (False, "toy-1b")
        assert len(lock.load_user().models) == 1

    def test_a_changed_model_is_another_one(self, server: Ollama) -> None:
        manage.add_from_ollama("toy:1b", server.url)
        server.models = [Pulled("toy:1b", digest="f" * 64)]
        assert manage.add_from_ollama("toy:1b", server.url).entry.id == "toy-1b-ffffff"

    @pytest.mark.parametrize(
        ("changes", "profile"),
        [
            ({"trained": 4096}, {"window": 4096}),
            ({"trained": 512}, {"window": 1024}),
            ({"capabilities": ("completion",), "template": "{{ .Prompt }}"}, {"fim": False}),
            ({"capabilities": ("completion",)}, {"fim": True}),  # by its template
            ({"size_label": "7.6B"}, {"planner": "react", "window": 16384}),
            ({"size_label": "7.6B", "capabilities": ()}, {"planner": "workflow"}),
            ({"size_label": "873.44M"}, {"planner": "workflow"}),
            ({"size_label": "?"}, {"planner": "workflow"}),
        ],
    )
    def test_the_profile_follows_the_model(
        self, server: Ollama, changes: dict[str, Any], profile: dict[str, Any]
    ) -> None:
        server.models = [Pulled("toy:1b", **changes)]
        proposed = manage.add_from_ollama("toy:1b", server.url).entry.profile.model_dump()
        assert {key: proposed[key] for key in profile} == profile

    def test_the_tag_latest_is_no_part_of_the_id(self, server: Ollama) -> None:
        server.models = [Pulled("Me/Toy:latest")]
        assert manage.add_from_ollama("Me/Toy", server.url).entry.id == "me-toy"

    def test_what_cannot_be_pinned(self, server: Ollama) -> None:
        with pytest.raises(ModelNotInstalled):
            manage.add_from_ollama("none", server.url)
        with pytest.raises(UsageError, match="another model is called"):
            manage.add_from_ollama("toy:1b", server.url, "qwen2.5-coder-1.5b-instruct")
        with pytest.raises(NotLocal):
            manage.add_from_ollama("toy:cloud", server.url)
        with pytest.raises(NotLocal):
            manage.add_from_ollama("toy:1b", "http://10.0.0.7")
        server.models = [Pulled("toy:1b", digest="")]
        with pytest.raises(LockError, match="digest"):
            manage.add_from_ollama("toy:1b", server.url)
        assert not lock.user_path().exists()


@pytest.fixture
def pinned(server: Ollama) -> ModelEntry:
    entry = lock.parse(GOOD, "x").models[0]
    lock.save_user(LockFile(version=1, default="a", model=(entry,)))
    return entry


def test_the_list_names_it(pinned: ModelEntry) -> None:
    (row,) = [row for row in manage.list_models() if row.entry == pinned]
    assert (row.state, row.default) == ("served", True)


def test_verify_compares_the_digest(server: Ollama, pinned: ModelEntry) -> None:
    (good,) = manage.verify("a", ask_server=lambda each: pinning.verify(each, server.url))
    assert (good.error, good.place) == (None, "toy:1b in Ollama")
    server.models = [Pulled("toy:1b", digest="f" * 64)]
    (bad,) = manage.verify(ask_server=lambda each: pinning.verify(each, server.url))
    assert isinstance(bad.error, ModelFileError)
    assert "models remove a" in bad.error.hint


def test_verify_without_a_server(server: Ollama, pinned: ModelEntry) -> None:
    server.stop()
    (bad,) = manage.verify("a", ask_server=lambda each: pinning.verify(each, server.url))
    assert isinstance(bad.error, ModelLoadError)
    server.start()


def test_it_cannot_be_fetched_and_is_forgotten(pinned: ModelEntry) -> None:
    with pytest.raises(UsageError) as caught:
        manage.fetch("a")
    assert "ollama pull toy:1b" in caught.value.hint
    removed = manage.remove("a")
    assert (removed.freed, removed.unpinned) == (0, True)
    assert lock.load().default == "qwen2.5-coder-1.5b-instruct"


def test_the_composition_root_opens_it(server: Ollama, pinned: ModelEntry) -> None:
    settings = Settings(ollama_host=server.url, window=4096)
    model = open_model(pinned, settings)
    try:
        chunks = list(model.generate(Request((Message("user", "hello"),))))
    finally:
        model.close()
    assert "".join(c.text for c in chunks if isinstance(c, Text)) == "all is well"
    assert model.info.sha256 == DIGEST
    assert server.bodies("/api/chat")[0]["options"]["num_ctx"] == 4096


def test_on_the_command_line(server: Ollama) -> None:
    def run(*args: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "localagent", "models", *args],
            cwd=ROOT,
            env={**os.environ, "LOCALAGENT_OLLAMA_HOST": server.url, "OLLAMA_HOST": "10.0.0.7"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = run("add", "--ollama", "toy:1b")
    assert code == 0
    assert "pinned toy-1b: toy:1b in Ollama" in said
    assert run("add", "--ollama", "toy:1b")[1].startswith("toy-1b is already known")
    code, said = run("use", "toy-1b")
    assert (code, said) == (0, "toy-1b is the default model now\n")
    assert "stored by Ollama" in run("list")[1]
    code, said = run("verify", "toy-1b")
    assert (code, said.splitlines()[0]) == (0, "as pinned: toy-1b  toy:1b in Ollama")
    server.models = []
    code, said = run("verify", "toy-1b")
    assert code == 2
    assert "has no model toy:1b" in said
    for wrong in ([], ["a.gguf", "--ollama", "toy:1b"]):
        assert run("add", *wrong)[0] == 2
    assert run("add", "--ollama", "toy:cloud")[0] == 3
