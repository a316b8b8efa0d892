"""The log of the native library, which calls back into Python."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("llama_cpp")

CODE = """
import gc, sys
from localagent.models.llamacpp.worker.llama import LlamaLibrary

c = LlamaLibrary().c
gc.collect()
c.llama_model_load_from_file(sys.argv[1].encode(), c.llama_model_default_params())
"""


def test_the_library_may_log_after_the_object_that_loaded_it_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path / "absent.gguf")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.returncode
    assert "absent.gguf" in ran.stderr
