"""The probe's report: as it is printed and read, also if it is long."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from localagent.agent.checks.probe_loading import PROBE_DIR
from localagent.agent.checks.runner import read_result
from localagent.sandbox.base import Command, CommandResult


@pytest.fixture
def probe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("probe", PROBE_DIR / "localagent_probe.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("count", [2, 400])
def test_a_report_of_many_tests_fits_into_the_kept_output(
    probe: ModuleType, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", printed)
    names = [f"tests/test_a.py::test_{number}" for number in range(count)]
    for number, name in enumerate(names):
        probe._tests[name] = {"outcome": "passed"}
        probe._lines[name] = {"a.py": set(range(number, number + 500))}
    probe.pytest_unconfigure(None)
    assert len(printed.getvalue()) < Command("pytest").output_bytes // 2
    result = read_result("pytest", CommandResult(0, printed.getvalue(), 1.0))
    assert [test.id for test in result.tests] == names
    assert result.tests[-1].lines == {"a.py": frozenset(range(count - 1, count + 499))}


@pytest.mark.parametrize("packed", ["", "%", "QUJD", 3])
def test_what_is_no_report_is_ignored(packed: object) -> None:
    output = "LOCALAGENT-PROBE " + json.dumps({"packed": packed})
    assert read_result("pytest", CommandResult(0, output, 1.0)).tests == ()


def test_code_is_traced_by_its_place_under_any_folder_and_name(
    probe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_ROOT", str(tmp_path))
    monkeypatch.setattr(probe, "_TRACED", {"src/a.py"})
    monkeypatch.chdir(tmp_path.parent)  # as a test may
    assert probe._traced_name(str(tmp_path / "src" / "a.py")) == "src/a.py"
    assert probe._traced_name("src/a.py") == "src/a.py"
    # compiled under no name, as attrs does, and code of another project
    assert probe._traced_name("") == probe._traced_name("<string>") == ""
    assert probe._traced_name(f"{tmp_path}-other/src/a.py") == ""
