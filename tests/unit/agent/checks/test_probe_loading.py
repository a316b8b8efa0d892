"""Checks that set their own environment: the probe is loaded where it can be, and left out else."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.checks.probe_loading import PROBE_DIR, probed_command
from localagent.agent.checks.runner import run_check
from localagent.core.events import CheckFinished, CheckStarted
from localagent.sandbox.base import CommandResult
from tests.doubles.scripted_sandbox import Files, ScriptedSandbox
from tests.doubles.scripted_turn import run_events, scripted_turn

VARIABLES = {"PYTHONPATH": "/probe", "PYTEST_PLUGINS": "p", "PYTEST_ADDOPTS": "-a -b"}
ALL = "PYTHONPATH=/probe PYTEST_PLUGINS=p PYTEST_ADDOPTS=-a\\ -b"


@pytest.mark.parametrize(
    ("command", "probed"),
    [
        ("pytest -q", "pytest -q"),
        ("PYTHONPATH=src pytest", "PYTHONPATH=/probe:src pytest"),
        ("env PYTHONPATH='a b' pytest", "env PYTHONPATH=/probe:'a b' pytest"),
        ("export PYTHONPATH=$PWD; pytest", "export PYTHONPATH=/probe:$PWD; pytest"),
        ("PYTHONPATH= pytest", "PYTHONPATH=/probe pytest"),
        ("MYPYTHONPATH=src pytest", "MYPYTHONPATH=src pytest"),
        ("env -i PATH=/bin pytest", f"env -i {ALL} PATH=/bin pytest"),
        ("env - PYTHONPATH=a pytest", f"env - {ALL} PYTHONPATH=/probe:a pytest"),
        ("sh -c '/usr/bin/env -i pytest'", f"sh -c '/usr/bin/env -i {ALL} pytest'"),
        ("printenv -i x", "printenv -i x"),
    ],
)
def test_assignments_in_the_command_keep_the_probe(command: str, probed: str) -> None:
    assert probed_command(command, VARIABLES) == probed


def test_a_folder_that_needs_quotes_is_in_no_command() -> None:
    variables = {**VARIABLES, "PYTHONPATH": "/a folder"}
    assert probed_command("PYTHONPATH=src pytest", variables) == "PYTHONPATH=src pytest"


MISSING = """\
ImportError: Error importing plugin "localagent_probe": No module named 'localagent_probe'
make: *** [Makefile:2: test] Error 4
"""


def test_a_check_that_cannot_load_the_probe_runs_without_it(tmp_path: Path) -> None:
    def drop_pythonpath(_line: str, _files: Files) -> CommandResult:
        probed = "PYTEST_PLUGINS" in sandbox.environments[-1]
        return CommandResult(2, MISSING if probed else "1 failed", 0.1)

    sandbox = ScriptedSandbox(drop_pythonpath)
    turn = scripted_turn(tmp_path, sandbox=sandbox)
    events, first = run_events(run_check(turn, "make test"))
    _, second = run_events(run_check(turn, "make test", trace=["calc.py"]))
    assert first.output == second.output == "1 failed"
    assert ["PYTEST_PLUGINS" in added for added in sandbox.environments] == [True, False, False]
    assert [type(event) for event in events] == [CheckStarted, CheckFinished]
    run_events(run_check(turn, "pytest"))
    assert sandbox.environments[3]["PYTHONPATH"] == str(PROBE_DIR)
