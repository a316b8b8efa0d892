"""A llama.cpp that is built as plug-ins has to load them; any other must not try."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from localagent.models.llamacpp.hardware import load_plugins


@pytest.mark.parametrize(
    ("name", "loads"), [("libggml-cpu-haswell.so", True), ("libggml-cpu.so", False)]
)
def test_plugins_are_loaded_from_their_folder(
    name: str, loads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bytes] = []

    class Library:
        ggml_backend_load_all_from_path = staticmethod(loaded.append)

    monkeypatch.setattr(ctypes, "CDLL", lambda _path: Library())
    (tmp_path / name).touch()
    load_plugins(tmp_path)
    assert loaded == ([str(tmp_path).encode()] if loads else [])
