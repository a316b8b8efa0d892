"""The scan finds models where programs keep them, each once, and is not led astray."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.errors import ModelFileError
from localagent.models.base import ModelInfo, Profile
from localagent.models.catalog import lock, verification
from localagent.models.catalog.lock import LocalFile, LockFile, ModelEntry
from localagent.models.catalog.scan import MAX_DEPTH, Scan, model_folders, scan
from localagent.models.llamacpp.backend import LlamaCpp
from tests.doubles.gguf_file import gguf

ROOT = Path(__file__).resolve().parents[4]
MODEL = gguf()
TYPE = "application/vnd.ollama.image.model"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the places of Linux")


@pytest.fixture(autouse=True)
def plain_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own machine."""
    for name in ("OLLAMA_MODELS", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("LLAMA_CACHE", raising=False)


def put(path: Path, data: bytes = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def ollama(models: Path, name: str, data: bytes = MODEL, **more: object) -> Path:
    """A model in an Ollama store, as `ollama pull` leaves it: its blob."""
    digest = hashlib.sha256(data).hexdigest()
    layers = [
        {"mediaType": TYPE, "digest": f"sha256:{digest}", "size": len(data)},
        {"mediaType": "application/vnd.ollama.image.license", "digest": f"sha256:{'1' * 64}"},
    ]
    manifest = {"schemaVersion": 2, "config": {}, "layers": layers, **more}
    put(models / "manifests" / name, json.dumps(manifest).encode())
    return put(models / "blobs" / f"sha256-{digest}", data)


def found(result: Scan) -> list[tuple[str, tuple[str, ...], Path]]:
    """Without the store of a real Ollama of this machine."""
    return [(f.owner, f.names, f.path) for f in result.files if "/usr/share" not in str(f.path)]


def test_every_program_s_place_is_looked_at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = [gguf({"general.name": f"Model {n}"}) for n in range(9)]
    monkeypatch.setenv("LLAMA_CACHE", str(home / "lc"))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    put(home / ".lmstudio-home-pointer", f"{home}/studio\n".encode())
    blob = put(home / "hf/hub/models--org--repo--x/blobs/abc", data[0])
    snapshot = home / "hf/hub/models--org--repo--x/snapshots/rev/deep/x.gguf"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(blob)
    expected = [
        ("Ollama", ("coder:7b",), ollama(home / ".ollama/models", f"{REGISTRY}/coder/7b", data[1])),
        ("LM Studio", ("p/m/a.gguf",), put(home / "studio/models/p/m/a.gguf", data[2])),
        ("LM Studio", ("p/b.GGUF",), put(home / ".lmstudio/models/p/b.GGUF", data[3])),
        ("Hugging Face", ("org/repo--x: deep/x.gguf",), snapshot),
        ("llama.cpp", ("c.gguf",), put(home / "lc/c.gguf", data[4])),
        ("GPT4All", ("d.gguf",), put(home / ".local/share/nomic.ai/GPT4All/d.gguf", data[5])),
        (
            "Jan",
            ("m/model.gguf",),
            put(home / ".local/share/Jan/data/llamacpp/models/m/model.gguf", data[6]),
        ),
        ("given", ("e.gguf",), put(home / "mine/e.gguf", data[7])),
        ("given", ("f",), put(home / "f.bin", data[8])),
    ]
    result = scan([home / "mine", home / "f.bin"])
    assert found(result) == expected
    assert [n for n in result.warnings if str(home) in n] == []
    first = result.files[0]
    assert first.header is not None
    assert (first.header.name, first.size, first.unusable) == ("Model 1", len(data[1]), "")


REGISTRY = "registry.ollama.ai/library"


def test_ollama_s_names_and_shared_blobs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = home / "elsewhere"
    monkeypatch.setenv("OLLAMA_MODELS", str(models))
    blob = ollama(models, f"{REGISTRY}/coder/7b")
    ollama(models, f"{REGISTRY}/coder/latest")
    ollama(models, "registry.ollama.ai/me/coder/1")
    ollama(models, "hub.example/org/repo/Q4_K_M")
    put(models / "manifests/registry.ollama.ai/library/coder/.tmp", b"x")
    names = ("hub.example/org/repo:Q4_K_M", "coder:7b", "coder:latest", "me/coder:1")
    assert found(scan()) == [("Ollama", names, blob)]
    # The same store, named by the user.
    assert found(scan([models])) == [("Ollama", names, blob)]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"layers": 3}',
        b"[" * 100_000,
        b'{"layers": [{"mediaType": "%s", "digest": "sha256:../../../x"}]}' % TYPE.encode(),
        b'{"layers": [{"mediaType": "%s"}]}' % TYPE.encode(),
    ],
)
def test_a_broken_manifest_is_one_line(home: Path, content: bytes) -> None:
    store_ = home / ".ollama/models"
    blob = ollama(store_, f"{REGISTRY}/coder/7b")
    broken = put(store_ / "manifests" / REGISTRY / "broken/1", content)
    result = scan()
    assert found(result) == [("Ollama", ("coder:7b",), blob)]
    assert f"cannot read {broken}: it is no manifest of Ollama" in result.warnings


def test_what_is_not_there_yet_or_of_other_kinds_is_no_error(home: Path) -> None:
    store_ = home / ".ollama/models"
    ollama(store_, f"{REGISTRY}/cloud/1", layers=[{"mediaType": "x/y"}, 3])
    ollama(store_, f"{REGISTRY}/coder/7b").unlink()
    result = scan()
    assert (found(result), [n for n in result.warnings if str(home) in n]) == ([], [])


def test_links_make_no_loops_and_lead_nowhere_else(home: Path, tmp_path: Path) -> None:
    folder = home / "models"
    kept = put(folder / "a" / "x.gguf")
    os.link(kept, folder / "hard.gguf")
    (folder / "a" / "soft.gguf").symlink_to(kept)
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "self.gguf").symlink_to(folder / "self.gguf")
    (folder / "deleted.gguf").symlink_to(folder / "nothing")
    put(tmp_path / "outside" / "y.gguf", gguf({"general.name": "y"}))
    (folder / "a" / "out").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.gguf")
    deep = folder.joinpath(*["d"] * (MAX_DEPTH + 1))
    put(deep / "z.gguf", gguf({"general.name": "z"}))
    result = scan([folder, folder / "a"])
    names = ("a/soft.gguf", "a/x.gguf", "hard.gguf", "soft.gguf", "x.gguf")
    assert found(result) == [("given", names, folder / "a" / "soft.gguf")]


def test_what_cannot_be_used_says_why(home: Path) -> None:
    folder = home / "models"
    put(folder / "a.gguf", gguf({"general.architecture": "clip"}))
    put(folder / "b.gguf", gguf({"split.count": 2}))
    put(folder / "c.gguf", b"not a model")
    put(folder / "d.gguf", gguf(cut=100))
    reasons = [f.unusable for f in scan([folder]).files]
    assert [r.split(":")[0] for r in reasons] == [
        "it reads images for another model (mmproj)",
        "its name must end in -00001-of-00002.gguf, as it has so many parts",
        "it is not a GGUF file",
        "it is cut short",
    ]


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that can be reached, and this process without root's right to read everything."""
    folder = Path(tempfile.mkdtemp(prefix="scan-"))
    folder.chmod(0o755)
    monkeypatch.setenv("HOME", str(folder))
    before = os.geteuid()
    yield folder
    os.seteuid(before)
    for path in folder.rglob("*"):
        path.chmod(0o700)
    shutil.rmtree(folder)


def test_what_may_not_be_read_is_one_line(nobody: Path) -> None:
    for name in ("one", "two"):
        put(nobody / "models" / name / "x.gguf")
        (nobody / "models" / name).chmod(0)
    put(nobody / "models" / "z.gguf").chmod(0)
    (nobody / ".ollama").mkdir(mode=0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    notes = [n for n in scan([nobody / "models", nobody / "none"]).warnings if str(nobody) in n]
    assert notes == [
        f"cannot read {nobody}/.ollama/models: Permission denied",
        f"cannot read 3 files or folders; the first is {nobody}/models/one: Permission denied",
        f"cannot read {nobody}/none: No such file or directory",
    ]


def pinned(blob: Path, **changes: object) -> ModelEntry:
    data = blob.read_bytes()
    values: dict[str, object] = {
        "id": "mine",
        "file": "mine.gguf",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "source": (LocalFile(kind="file", path=str(blob)),),
    }
    return lock.checked({**values, **changes}, "test")


def test_what_is_pinned_is_recognised(home: Path) -> None:
    blob = ollama(home / ".ollama/models", f"{REGISTRY}/coder/7b")
    lock.save_user(LockFile(version=1, model=(pinned(blob, source=()),)))
    assert [(f.pinned, f.same_as) for f in scan().files if f.path == blob] == [("", "mine")]
    lock.save_user(LockFile(version=1, model=(pinned(blob),)))
    assert [(f.pinned, f.same_as) for f in scan().files if f.path == blob] == [("mine", "")]


def test_a_pinned_blob_that_its_owner_changed_is_refused(home: Path) -> None:
    blob = ollama(home / ".ollama/models", f"{REGISTRY}/coder/7b")
    entry = pinned(blob)
    assert verification.path_for(entry) == blob
    changed = bytearray(MODEL)
    changed[-1] ^= 1
    blob.write_bytes(changed)
    with pytest.raises(
        ModelFileError, match=r"is not what models\.lock pins: its sha256 is"
    ) as bad:
        verification.path_for(entry)
    assert "localagent models remove mine" in bad.value.hint
    blob.write_bytes(MODEL + b"x")
    with pytest.raises(ModelFileError, match=r"has [\d,]+ bytes; models.lock pins"):
        verification.path_for(entry)
    blob.unlink()
    with pytest.raises(Exception, match="is no longer at"):
        verification.path_for(entry)
    blob.write_bytes(MODEL)
    assert verification.path_for(entry) == blob


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def start(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "localagent", "models", *args],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


def test_the_command_says_what_it_found(home: Path, run: Run) -> None:
    blob = ollama(home / ".ollama/models", f"{REGISTRY}/coder/7b")
    put(home / "my models/vision.gguf", gguf({"general.architecture": "clip"}))
    done = run("scan", str(home / "my models"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Ollama  coder:7b",
        "    Toy Coder · 1.5B · Q4_K_M · 2.4 kB · window 4,096",
        f"    localagent models add {blob}",
        "given  vision.gguf",
        "    Toy Coder · 1.5B · Q4_K_M · 2.4 kB",
        "    cannot be used: it reads images for another model (mmproj) "
        f"({home / 'my models/vision.gguf'})",
        f"searched {home / '.ollama/models'}, {home / 'my models'}",
    ]
    as_json = json.loads(run("scan", "--json", str(home / "my models")).stdout)
    first, second = as_json["found"]
    assert (first["path"], first["names"], first["owner"]) == (str(blob), ["coder:7b"], "Ollama")
    assert first["header"]["kv_bytes_per_token"] == 384
    assert second["unusable"].startswith("it reads images")


def test_it_says_where_it_looked_in_vain(home: Path, run: Run) -> None:
    done = run("scan")
    assert done.returncode == 0
    assert (
        done.stdout
        == "no models of Ollama, LM Studio, Hugging Face, llama.cpp, GPT4All and Jan found\n"
    )


@pytest.mark.skipif(not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python")
def test_a_blob_of_ollama_s_is_pinned_in_place_and_refused_when_it_changes(
    home: Path, run: Run
) -> None:
    blob = ollama(home / ".ollama/models", f"{REGISTRY}/coder/7b")
    added = run("add", str(blob), "--id", "toy")
    assert (added.returncode, added.stderr.count("error")) == (0, 0), added.stderr
    assert f"pinned toy: {blob}" in added.stdout
    entry = lock.load().entry("toy")
    assert (entry.file, verification.path_for(entry)) == ("toy.gguf", blob)
    assert f"pinned as toy: {blob}" in run("scan").stdout
    again = run("add", str(blob), "--id", "other")
    assert "toy is already known and installed" in again.stdout
    blob.write_bytes(gguf({"general.name": "Another Toy"}))
    refused = run("verify", "toy")
    assert refused.returncode == 4
    assert "models.lock pins" in refused.stderr


@pytest.mark.real_model
def test_a_blob_of_ollama_s_is_loaded_and_read(home: Path, model_path: Path, run: Run) -> None:
    """Under its name in Ollama's store, a hash without a suffix."""
    entry = next(e for e in lock.load().entries if e.file == model_path.name)
    blob = home / ".ollama/models/blobs" / f"sha256-{entry.sha256}"
    blob.parent.mkdir(parents=True)
    try:
        os.link(model_path, blob)
    except OSError:
        shutil.copyfile(model_path, blob)
    added = run("add", str(blob), "--id", "mine")
    assert added.returncode == 0, added.stderr
    assert f"models.lock knows these bytes as {entry.id}" in added.stdout
    assert verification.path_for(lock.load().entry(entry.id)) == blob
    info = ModelInfo(entry.id, "llamacpp", entry.sha256, Profile(window=1024))
    with LlamaCpp(blob, info) as model:
        assert model.count("hello world") == 2


def test_the_places_follow_the_environment(tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": "/c", "HF_HUB_CACHE": "/h", "OLLAMA_MODELS": "/o", "LLAMA_CACHE": ""}
    found = [str(place.path) for place in model_folders(env, tmp_path)]
    assert {"/o", "/h", "/c/huggingface/hub", "/c/llama.cpp"} <= set(found)
    assert "." not in found
    assert len(found) == len(set(found))
