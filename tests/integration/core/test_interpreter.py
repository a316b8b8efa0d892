"""localagent's own child processes import nothing from the folder that they start in."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from localagent.core import interpreter

PACKAGE = Path(__file__).resolve().parents[3] / "localagent"


def started_by_hand(source: str) -> list[int]:
    """The lines of a program that put this interpreter at the head of a command."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.List | ast.Tuple)
        and node.elts
        and ast.unparse(node.elts[0]) == "sys.executable"
    ]


def test_only_the_interpreter_module_starts_python() -> None:
    found = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := started_by_hand(path.read_text(encoding="utf-8")))
    }
    assert set(found) == {"core/interpreter.py"}


def test_a_planted_start_is_found() -> None:
    assert started_by_hand("import sys\nrun([sys.executable, '-c', 'x'])\n") == [2]


@pytest.mark.parametrize("places", ["", ".", ":", "relative", "{}"])
def test_nothing_is_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: str
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('planted')\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "found_here.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", places.format(tmp_path / "elsewhere"))
    code = "import json, sys, importlib.util as u; print(bool(u.find_spec('found_here')))"
    for command, environment in (
        (interpreter.python("-c", code), interpreter.environment()),
        (interpreter.plain_python("-c", code), dict(os.environ)),
    ):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        wanted = places == "{}" and environment.get("PYTHONPATH") and "-P" in command
        assert (done.returncode, done.stdout.strip()) == (0, str(bool(wanted)))
