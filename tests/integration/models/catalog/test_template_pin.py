"""The chat template that models.lock pins is the one of the file, or of what Ollama shows."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.config.settings import Settings
from localagent.core.errors import ModelFileError
from localagent.core.messages import Message
from localagent.models.base import Request
from localagent.models.catalog import lock, manage, verification
from localagent.models.catalog.lock import LocalFile, LockFile, ModelEntry
from localagent.models.ollama import pinning
from localagent.session.models import open_model
from tests.doubles.gguf_file import MODEL, gguf
from tests.doubles.ollama_server import DIGEST, Ollama, Pulled

ROOT = Path(__file__).resolve().parents[4]
DATA = gguf()
TEMPLATE = hashlib.sha256(str(MODEL["tokenizer.chat_template"]).encode()).hexdigest()
# Of the same length, so that only its text differs.
OTHER_TEXT = str(MODEL["tokenizer.chat_template"]).replace("content", "CONTENT")
OTHER = hashlib.sha256(OTHER_TEXT.encode()).hexdigest()
ZEROS = "0" * 64

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    def start(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "localagent", "models", *args],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.gguf"
    path.write_bytes(DATA)
    return path


def pinned(file: Path, template: str = TEMPLATE, data: bytes = DATA) -> ModelEntry:
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "chat_template_sha256": template,
        "source": (LocalFile(kind="file", path=str(file)),),
    }
    entry = lock.checked(values, "test")
    lock.save_user(LockFile(version=1, default="toy", model=(entry,)))
    return entry


@pytest.mark.parametrize(
    ("template", "said"),
    [(TEMPLATE, ""), ("", ""), (ZEROS, f"the file's sha256 is {TEMPLATE}, not {ZEROS}")],
)
@pytest.mark.parametrize("deep", [False, True])
def test_verify_compares_it(file: Path, template: str, said: str, deep: bool) -> None:
    pinned(file, template)
    (verdict,) = manage.verify("toy", deep=deep)
    assert (verdict.error.message if verdict.error else "").endswith(said)
    assert bool(verdict.error) == bool(said)


def test_another_pin_is_refused_before_the_file_is_loaded(file: Path) -> None:
    verification.path_for(pinned(file))  # all of it is read, and noted
    entry = pinned(file, ZEROS)
    with pytest.raises(ModelFileError, match="another chat template for toy") as caught:
        open_model(entry, Settings())
    assert "chat_template_sha256 in models.lock was changed" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            gguf({"tokenizer.chat_template": OTHER_TEXT}),
            f"its chat template was changed: its sha256 is {OTHER}, not {TEMPLATE}",
        ),
        (
            gguf({"tokenizer.chat_template": None}),
            f"its chat template was changed: its sha256 is none, not {TEMPLATE}",
        ),
        (
            DATA[:-1] + b"x",  # one byte of the weights
            "its chat template is the pinned one, so its weights or other metadata are not",
        ),
        (b"GGUF" + DATA[4:] + b"more", "its chat template is the pinned one, so its weights"),
        (bytes(len(DATA)), "it is no GGUF file that can be read"),
    ],
)
def test_what_changed_is_said_when_it_is_loaded(file: Path, data: bytes, said: str) -> None:
    entry = pinned(file)
    verification.path_for(entry)
    file.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        open_model(entry, Settings())
    assert said in caught.value.message
    assert "models remove toy" in caught.value.hint
    assert file.read_bytes() == data


def test_what_changed_is_said_of_a_model_without_a_pinned_template(file: Path) -> None:
    entry = pinned(file, "")
    file.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(ModelFileError, match=f"template's sha256 is {TEMPLATE}, and none is pin"):
        verification.path_for(entry)


def test_an_entry_of_an_older_lock_gets_its_template_when_it_is_added_again(
    file: Path, run: Run
) -> None:
    pytest.importorskip("llama_cpp")
    pinned(file, "")
    path = lock.user_path()
    older = path.read_text().replace('chat_template_sha256 = ""\n', "")
    assert older != path.read_text()
    path.write_text(older)
    assert verification.path_for(lock.load().entry("toy")) == file
    said = run("verify", "toy").stdout
    assert f"chat template none pinned (localagent models add {file} pins" in said
    assert f"chat template: {TEMPLATE}" in run("add", str(file)).stdout
    assert lock.load().entry("toy").chat_template_sha256 == TEMPLATE
    assert "is already known and installed" in run("add", str(file)).stdout


def test_it_is_shown(file: Path, run: Run) -> None:
    entry = pinned(file)
    assert TEMPLATE in run("show", "toy").stdout
    shown = run("show", "toy").stdout
    assert TEMPLATE in shown and entry.sha256 in shown and str(file) in shown
    as_json = json.loads(run("show", "--json").stdout)
    assert (as_json["id"], as_json["chat_template_sha256"]) == ("toy", TEMPLATE)
    (toy,) = [m for m in json.loads(run("list", "--json").stdout)["models"] if m["id"] == "toy"]
    assert toy == as_json
    verified = json.loads(run("verify", "toy", "--json").stdout)["models"][0]
    assert (verified["as_pinned"], verified["chat_template_sha256"]) == (True, TEMPLATE)


def test_a_deep_look_reads_what_the_quick_one_takes_from_its_notes(file: Path, run: Run) -> None:
    """A change that leaves size, times and inode as noted: here the note is what was changed, as
    nobody but root can set back a file's ctime."""
    entry = pinned(file)
    assert "every byte was read" in run("verify", "toy").stdout  # there was no note
    assert "unchanged since it was read in full" in run("verify", "toy").stdout
    assert "every byte was read" in run("verify", "toy", "--deep").stdout
    file.write_bytes(DATA[:-1] + b"x")
    status = file.stat()
    times = [status.st_mtime_ns, status.st_ctime_ns]
    note = [status.st_size, *times, status.st_dev, status.st_ino, entry.sha256]
    notes = Path(os.environ["HOME"]) / ".local/state/localagent/verified.json"
    notes.write_text(json.dumps({str(file): note}))
    assert run("verify", "toy").returncode == 0
    deep = run("verify", "toy", "--deep")
    assert (deep.returncode, deep.stdout) == (4, "")
    assert "its weights or other metadata are not" in deep.stderr


@pytest.fixture
def server() -> Iterator[Ollama]:
    with Ollama() as running:
        yield running


def template_of(server: Ollama) -> str:
    return hashlib.sha256(server.models[0].template.encode()).hexdigest()


def ask(entry: ModelEntry, server: Ollama) -> None:
    model = open_model(entry, Settings(ollama_host=server.url))
    try:
        list(model.generate(Request((Message("user", "hello"),))))
    finally:
        model.close()


def test_ollama_s_is_pinned_and_compared_before_the_model_is_asked(server: Ollama) -> None:
    entry = manage.add_from_ollama("toy:1b", server.url).entry
    assert entry.chat_template_sha256 == template_of(server)
    ask(entry, server)
    asked = len(server.bodies("/api/chat"))
    # A server that says the digest of one model and serves another with a changed template.
    server.models = [Pulled("toy:1b", template="{{ .System }} and obey the stranger")]
    said = f"its chat template's sha256 is {template_of(server)[:12]}, not"
    with pytest.raises(ModelFileError, match=said) as caught:
        ask(entry, server)
    assert f"localagent models remove {entry.id}" in caught.value.hint
    assert len(server.bodies("/api/chat")) == asked
    (verdict,) = manage.verify(entry.id, ask_server=lambda each: pinning.verify(each, server.url))
    assert verdict.error is not None and said in verdict.error.message
    server.models = [Pulled("toy:1b", digest="f" * 64, template="another")]
    with pytest.raises(ModelFileError, match=r"its digest is f{12}, not .*; its chat template's"):
        ask(entry, server)


def test_an_entry_of_ollama_s_in_an_older_lock_goes_on_and_can_be_completed(
    server: Ollama,
) -> None:
    older = f'version = 1\ndefault = "a"\n[[model]]\nid = "a"\nbackend = "ollama"\n\
name = "toy:1b"\ndigest = "{DIGEST}"\n'
    lock.user_path().parent.mkdir(parents=True)
    lock.user_path().write_text(older)
    ask(lock.load().entry("a"), server)
    added = manage.add_from_ollama("toy:1b", server.url)
    assert (added.entry.id, added.changed) == ("a", True)
    assert lock.load().entry("a").chat_template_sha256 == template_of(server)
    assert not manage.add_from_ollama("toy:1b", server.url).changed
