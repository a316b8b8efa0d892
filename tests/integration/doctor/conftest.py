"""Fixtures for the doctor: a toy model, pinned where it is and the default one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from localagent.models.catalog import lock
from localagent.models.catalog.lock import LocalFile, LockFile
from tests.doubles.gguf_file import MODEL, gguf

DATA = gguf({"general.name": "Toy"})


@pytest.fixture(scope="session")
def toy_bytes() -> bytes:
    """The content of the toy's file."""
    return DATA


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A model that is pinned where it is, and the default one."""
    path = tmp_path / "toy.gguf"
    path.write_bytes(DATA)
    template = str(MODEL["tokenizer.chat_template"])
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
        "chat_template_sha256": hashlib.sha256(template.encode()).hexdigest(),
        "source": (LocalFile(kind="file", path=str(path)),),
    }
    lock.save_user(LockFile(version=1, default="toy", model=(lock.checked(values, "test"),)))
    return path
