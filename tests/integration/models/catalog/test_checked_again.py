"""A model's file that changes after it was verified is not loaded when its process starts again.

The file is a real, small GGUF, loaded by the real llama.cpp in the real worker.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.config.settings import Settings
from localagent.core.errors import ModelFileError, ModelNotInstalled
from localagent.core.paths import models_dir
from localagent.models.catalog import lock, verification
from localagent.models.catalog.lock import LocalFile, LockFile
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.session.models import open_model
from tests.doubles.gguf_file import loadable

DATA = loadable()
ALTERED = DATA[:-1] + bytes([DATA[-1] ^ 1])

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the worker is ended by a signal")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "toy.gguf"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def model(file: Path) -> Iterator[LlamaCpp]:
    """The model of that file, loaded once."""
    pytest.importorskip("llama_cpp")
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "source": (LocalFile(kind="file", path=str(file)),),
    }
    entry = lock.checked(values, "test")
    lock.save_user(LockFile(version=1, default="toy", model=(entry,)))
    opened = open_model(entry, Settings())
    assert isinstance(opened, LlamaCpp)
    with opened:
        assert opened.count("ab") > 0
        yield opened


def end_worker(model: LlamaCpp) -> int:
    assert model.pid is not None
    os.kill(model.pid, signal.SIGKILL)
    return model.pid


def alter(path: Path, data: bytes) -> None:
    """Write it, with the times that it had: only `ctime` and the content tell."""
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_an_altered_file_is_refused_until_it_is_the_pinned_one_again(
    model: LlamaCpp, file: Path
) -> None:
    alter(file, ALTERED)
    assert model.count("ab") > 0  # what is loaded stays loaded
    end_worker(model)
    for _ in range(2):
        with pytest.raises(ModelFileError, match=r"is not what models\.lock pins") as caught:
            model.count("ab")
        assert "models remove toy" in caught.value.hint
        assert model.pid is None
    alter(file, DATA)
    assert model.count("ab") > 0


def test_a_file_of_another_size(model: LlamaCpp, file: Path) -> None:
    end_worker(model)
    file.write_bytes(DATA + b"more")
    with pytest.raises(ModelFileError, match=r"models\.lock pins"):
        model.count("ab")


def test_a_file_that_is_gone(model: LlamaCpp, file: Path) -> None:
    end_worker(model)
    file.unlink()
    with pytest.raises(ModelNotInstalled, match="no longer at"):
        model.count("ab")


def test_another_file_in_its_place(model: LlamaCpp, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(ALTERED)
    other.replace(file)
    end_worker(model)
    with pytest.raises(ModelFileError, match=r"is not what models\.lock pins"):
        model.count("ab")


def test_the_same_content_anew_is_read_and_taken(
    model: LlamaCpp, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = verification._digest  # counted, not replaced
    monkeypatch.setattr(
        verification, "_digest", lambda stream, *rest: read.append(file) or real(stream, *rest)
    )
    first = end_worker(model)
    assert model.count("ab") > 0
    assert model.pid not in (None, first)
    assert read == []  # nothing differs, so nothing is read
    other = tmp_path / "other"
    other.write_bytes(DATA)
    other.replace(file)
    for times in (1, 1):
        end_worker(model)
        assert model.count("ab") > 0
        assert len(read) == times


def test_notes_that_somebody_forged_do_not_count(model: LlamaCpp, file: Path) -> None:
    alter(file, ALTERED)
    verification.record(
        file, verification.fingerprint(file.stat(), hashlib.sha256(DATA).hexdigest())
    )
    end_worker(model)
    with pytest.raises(ModelFileError, match=r"is not what models\.lock pins"):
        model.count("ab")


def test_a_link_that_leads_elsewhere_meanwhile(file: Path, tmp_path: Path) -> None:
    models_dir().mkdir(parents=True)
    link = models_dir() / "toy.gguf"
    link.symlink_to(file)
    values = {"id": "toy", "file": "toy.gguf", "bytes": len(DATA)}
    values |= {"sha256": hashlib.sha256(DATA).hexdigest()}
    values |= {"source": (LocalFile(kind="file", path=str(file)),)}
    checked = verification.VerifiedFile(lock.checked(values, "test"))
    assert checked.path == file.resolve()
    other = tmp_path / "other.gguf"
    other.write_bytes(ALTERED)
    link.unlink()
    link.symlink_to(other)
    checked.again()  # what is loaded is the file that was verified, not what the link says now
    alter(file, ALTERED)
    with pytest.raises(ModelFileError):
        checked.again()
