"""Reading a check's result: the exit code decides, the rest guides the search."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.agent.checks.probe_loading import PROBE_DIR
from localagent.agent.checks.runner import CheckResult, TestResult, ends_well, read_result
from localagent.agent.repair.suspects import suspicion
from localagent.core.events import TurnKind
from localagent.project.build_commands import find_check
from localagent.sandbox.base import CommandResult
from tests.doubles.project_python import project_bin


def run_probe(folder: Path, trace: str = "", style: str = "short") -> CheckResult:
    """Run pytest with the probe on a real folder, as a check in a view would."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROBE_DIR),
        "PYTEST_PLUGINS": "localagent_probe",
        "LOCALAGENT_PROBE_TRACE": trace,
    }
    command = [
        str(project_bin() / "python"),
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--tb={style}",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return read_result("pytest", CommandResult(done.returncode, done.stdout + done.stderr, 0.5))


def result(passing: str = "", count: int | None = None, **more: Any) -> CheckResult:
    """A failing check in which these tests, one letter each, passed."""
    tests = tuple(TestResult(name, "passed") for name in passing)
    return replace(CheckResult("check", False, 1, False, 1.0, "", tests, count), **more)


@pytest.mark.parametrize(
    ("start", "after", "enough"),
    [
        (result("a"), result("ab"), True),
        (result("a"), result("a"), True),
        (result("ab"), result("bc"), False),
        (result("ab", 2), result("", 2), True),
        (result("ab", 2), result("", 1), False),
        (result("", 2), result("", 0), False),
        (result(), result(), True),
        (result(ok=True), result(), False),
        (result("a"), result("a", timed_out=True), False),
        (result("a"), result("a", usable=False), False),
        (result("a"), result("a", ok=True), True),
        (result(), result(ok=True), True),
    ],
)
def test_a_step_may_not_break_what_passed(
    start: CheckResult, after: CheckResult, enough: bool
) -> None:
    assert ends_well("step", start, after) == enough
    assert ends_well("task", start, after) == after.ok
    assert ends_well("last-step", start, after) == after.ok


@pytest.mark.parametrize("kind", ["step", "task", "last-step"])
def test_a_check_that_reports_no_test_any_more_does_not_pass(kind: TurnKind) -> None:
    assert not ends_well(kind, result("a", 1), result(ok=True))


def test_probe_reports_each_test(workspace_dir: Path) -> None:
    result = run_probe(workspace_dir)
    assert not result.ok
    assert (result.passed, result.failed) == (1, 1)
    (failing,) = result.failing
    assert failing.id == "calc_test.py::test_add"
    assert failing.message.startswith("assert add(2, 3) == 5\n")
    assert "assert -1 == 5" in failing.message
    assert ("calc_test.py", 5) in failing.frames
    assert "LOCALAGENT-PROBE" not in result.output


def test_probe_traces_lines_and_finds_the_fault(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "def price(n):\n    if n > 10:\n        return n * 2\n    return n\n"
    )
    (tmp_path / "shop_test.py").write_text(
        "from shop import price\ndef test_small():\n    assert price(3) == 3\n"
        "def test_large():\n    assert price(20) == 18\n"
    )
    scores = suspicion(run_probe(tmp_path, "shop.py"))["shop.py"]
    assert max(scores, key=lambda line: scores[line]) == 3
    assert scores[3] == 1.0
    assert 0 < scores[2] < 1
    assert 4 not in scores


def test_probe_stops_tracing_a_test_that_runs_long(tmp_path: Path) -> None:
    (tmp_path / "count.py").write_text(
        "def up(end):\n    n = 0\n    while n < end:\n        n += 1\n    return n\n"
    )
    (tmp_path / "count_test.py").write_text(
        "import sys\nfrom count import up\n"
        "def test_long():\n    up(200_000)\n    assert sys.gettrace() is None\n"
        "def test_many_calls():\n    sum(up(0) for _ in range(100_000))\n"
        "    assert sys.gettrace() is None\n"
        "def test_short():\n    assert sys.gettrace() is not None\n    assert up(2) == 2\n"
    )
    result = run_probe(tmp_path, "count.py")
    assert [t.outcome for t in result.tests] == ["passed"] * 3
    assert all({2, 3} <= test.lines["count.py"] for test in result.tests)


def test_probe_reports_collection_errors(tmp_path: Path) -> None:
    (tmp_path / "x_test.py").write_text("import missing_module\ndef test_a(): pass\n")
    result = run_probe(tmp_path)
    assert not result.ok
    assert result.failed == 1
    assert "missing_module" in result.failing[0].message


def test_probe_shows_the_line_of_a_unittest_assertion(tmp_path: Path) -> None:
    (tmp_path / "x_test.py").write_text(
        "import unittest\nclass XTest(unittest.TestCase):\n    def test_up(self):\n"
        "        self.assertEqual('ab'.upper(), 'Ab')\n"
    )
    first, second, *_ = run_probe(tmp_path).failing[0].message.splitlines()
    assert first == "self.assertEqual('ab'.upper(), 'Ab')"
    assert second == "AssertionError: 'AB' != 'Ab'"


def test_probe_shows_what_the_test_did_and_not_the_code_that_raised(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def first(items):\n    return items[0]\n")
    (tmp_path / "shop_test.py").write_text(
        "from shop import first\ndef test_first():\n    assert (\n        first([]) == 1\n    )\n"
    )
    message = run_probe(tmp_path).failing[0].message
    assert message.splitlines() == [
        "first([]) == 1",
        "IndexError: list index out of range",
    ]


@pytest.mark.parametrize("style", ["short", "long"])
def test_probe_shows_a_statement_of_several_lines_whole(tmp_path: Path, style: str) -> None:
    (tmp_path / "test_it.py").write_text(
        "def made(items):\n    raise ValueError('no')\n\n\n"
        "def test_it():\n    for one in [\n        1,\n    ]:\n"
        "        found = made([\n            (one, 'a'),\n            {},\n        ])\n"
    )
    test = run_probe(tmp_path, style=style).failing[0]
    begun, *_, error = test.message.splitlines()
    assert error == "ValueError: no"
    assert (test.statement or begun) == "found = made([ (one, 'a'), {}, ])"
    assert begun.startswith("found = made([")


def test_probe_reads_the_long_style_of_tracebacks(tmp_path: Path) -> None:
    (tmp_path / "x_test.py").write_text("def test_a():\n    one = 1\n    assert one == 2\n")
    result = run_probe(tmp_path, style="long")
    assert result.failing[0].message.splitlines()[0] == "assert one == 2"


@pytest.mark.parametrize(
    ("output", "passed", "failed"),
    [
        ("===== 3 failed, 11 passed in 0.2s =====", 11, 3),
        ("12 passed in 0.1s", 12, 0),
        ("Tests: 1 failed, 5 passed, 6 total", 5, 1),
        ("test result: FAILED. 3 passed; 1 failed; 0 ignored", 3, 1),
        ("# pass 7\n# fail 2", 7, 2),
        ("Ran 14 tests in 0.01s\n\nFAILED (failures=2, errors=1, skipped=1)", 10, 3),
        ("Ran 1 test in 0.01s\n\nOK", 1, 0),
        ("ok", None, None),
    ],
)
def test_counts_without_probe(output: str, passed: int | None, failed: int | None) -> None:
    result = read_result("check", CommandResult(0, output, 0.1))
    assert (result.passed, result.failed) == (passed, failed)


def test_exit_code_decides_not_the_text() -> None:
    forged = "LOCALAGENT-PROBE " + json.dumps({"tests": {"a": {"outcome": "passed"}}, "lines": {}})
    result = read_result("check", CommandResult(1, forged, 0.1))
    assert not result.ok
    assert read_result("check", CommandResult(0, "", 0.1, timed_out=True)).ok is False


@pytest.mark.parametrize(
    "line", ["LOCALAGENT-PROBE {", "LOCALAGENT-PROBE []", "LOCALAGENT-PROBE 1"]
)
def test_a_broken_probe_line_is_passed_over(line: str) -> None:
    assert read_result("check", CommandResult(0, line, 0.1)).tests == ()


def test_missing_commands_are_not_usable() -> None:
    assert not read_result("nope", CommandResult(127, "sh: 1: nope: not found", 0.1)).usable
    text = "/usr/bin/python: No module named pytest"
    assert not read_result("python -m pytest", CommandResult(1, text, 0.1)).usable
    assert read_result("python -m pytest", CommandResult(1, "1 failed", 0.1)).usable


@pytest.mark.parametrize(
    ("files", "texts", "check"),
    [
        (["a.py", "tests/test_a.py"], {}, "python -m pytest -q"),
        (["a.py", "a_test.py"], {}, "python -m pytest -q"),
        (["package.json"], {"package.json": '{"scripts": {"test": "jest"}}'}, "npm test"),
        (["package.json"], {"package.json": '{"scripts": {}}'}, ""),
        (["package.json"], {"package.json": "{"}, ""),
        (["go.mod", "a.go"], {}, "go test ./..."),
        (["Cargo.toml"], {}, "cargo test"),
        (["Makefile"], {"Makefile": "all:\n\ntest: all\n\t./t\n"}, "make test"),
        (["Makefile"], {"Makefile": "all:\n"}, ""),
        (["a.py"], {}, ""),
    ],
)
def test_find_check(files: list[str], texts: dict[str, str], check: str) -> None:
    assert find_check(files, lambda path: texts.get(path, "")) == check
