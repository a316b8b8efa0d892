"""`localagent batch` with real processes: a kill -9, a second start, and branches."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "scripts" / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "batch", raising=False)
    return importlib.import_module("batch")


def test_a_killed_batch_does_its_task_once(bench: ModuleType, tmp_path: Path) -> None:
    """The kill test of `scripts/bench batch`, with one task and one kill at a random moment."""
    repository = bench.make_repository(tmp_path / "r0")
    bench.make_tasks(tmp_path, [repository], 1)
    killed = bench.start(tmp_path, 1)
    with suppress(subprocess.TimeoutExpired):
        killed.wait(random.uniform(0.1, 1.5))
    killed.kill()
    killed.wait()
    assert bench.start(tmp_path, 1).wait(60) == 0
    assert bench.find_faults(tmp_path, [repository], 1) == []
