"""The chat template that models.lock pins is the one of the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from localagent.models import lock, manage
from localagent.models.lock import LocalFile, LockFile
from tests.doubles.gguf_file import MODEL, gguf

TEMPLATE = hashlib.sha256(str(MODEL["tokenizer.chat_template"]).encode()).hexdigest()


@pytest.mark.parametrize(
    ("pinned", "said"),
    [(TEMPLATE, ""), ("", ""), ("0" * 64, f"its sha256 is {TEMPLATE}, not {'0' * 64}")],
)
def test_verify_compares_it(tmp_path: Path, pinned: str, said: str) -> None:
    path = tmp_path / "toy.gguf"
    path.write_bytes(data := gguf())
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "chat_template_sha256": pinned,
        "source": (LocalFile(kind="file", path=str(path)),),
    }
    lock.save_user(LockFile(version=1, default="toy", model=(lock.checked(values, "test"),)))
    (verdict,) = manage.verify("toy")
    assert (verdict.error.message if verdict.error else "").endswith(said)
    assert bool(verdict.error) == bool(said)
