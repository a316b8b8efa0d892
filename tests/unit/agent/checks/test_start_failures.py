"""Checks that cannot start, and checks that fail because of the project's own code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult, read_result
from localagent.agent.checks.start_failures import environment_failures, start_failure
from localagent.agent.loop import run_turn
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Turn
from localagent.core.errors import UsageError
from localagent.core.events import CandidateProposed, Failed, TurnFinished, Warned
from localagent.sandbox.base import CommandResult
from tests.doubles.scripted_sandbox import ScriptedSandbox
from tests.doubles.scripted_turn import run_events, scripted_turn


def collection(module: str, importer: str = "tests/test_shop.py", error: str = "") -> str:
    """What pytest prints where a file of tests cannot be imported."""
    error = error or f"ModuleNotFoundError: No module named '{module}'"
    return (
        f"ImportError while importing test module '/w/{importer}'.\n"
        "/usr/lib/python3.11/importlib/__init__.py:126: in import_module\n"
        "    return _bootstrap._gcd_import(name[level:], package, level)\n"
        f"tests/test_shop.py:1: in <module>\n    from shop import f\n"
        f"{importer}:1: in <module>\n    import {module}\nE   {error}\n"
        "ERROR tests/test_shop.py\n1 error in 0.51s"
    )


UNITTEST = """\
ERROR: test_shop (unittest.loader._FailedTest.test_shop)
ImportError: Failed to import test module: test_shop
  File "/w/tests/test_shop.py", line 1, in <module>
    from shop import f
ModuleNotFoundError: No module named 'shop'
Ran 1 test in 0.000s

FAILED (errors=1)"""
USAGE = """\
ERROR: usage: python -m pytest [options] [file_or_dir] [file_or_dir] [...]
python -m pytest: error: unrecognized arguments: --cov=shop
  inifile: None"""
CONFTEST = """\
ImportError while loading conftest '/w/conftest.py'.
conftest.py:1: in <module>
    import webtest
E   ModuleNotFoundError: No module named 'webtest'"""
BROKEN_CONFTEST = CONFTEST.replace("ModuleNotFoundError: No module named 'webtest'", "NameError: x")
TOX = """\
ERROR: Could not find a version that satisfies the requirement attrs (from versions: none)
ERROR: No matching distribution found for attrs"""


def failure_of(
    folder: Path, output: str, code: int, prompt: str = "Fix the tests", **files: str
) -> UsageError | None:
    """The failure of a check in a project with an environment."""
    turn = turn_in(folder, prompt, **files)
    return start_failure(turn, read_result("pytest -q", CommandResult(code, output, 0.1)))


def turn_in(folder: Path, prompt: str, **files: str) -> Turn:
    """A turn in a project with an environment; `files` have __ for a slash."""
    texts = {"src/shop/__init__.py": "", "tests/test_shop.py": "", ".venv/pyvenv.cfg": ""}
    texts |= {"pyproject.toml": 'name = "shop"\ndependencies = ["attrs", "PyYAML>=6"]\n'}
    for name, text in {**texts, **{k.replace("__", "/"): v for k, v in files.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    python = folder / ".venv/bin/python"
    python.parent.mkdir()
    python.touch(0o755)
    return scripted_turn(folder, prompt)


COPY = "/usr/lib/dist-packages/shop/__init__.py"


@pytest.mark.parametrize(
    ("output", "code", "line", "cause", "hint"),
    [
        ("sh: 1: pytst: not found", 127, "pytst: not found", "pytst is not on the PATH", "--check"),
        ("", 127, "no output", "the program is not on the PATH", "--check CMD"),
        (
            "sh: 1: nox: not found\nmake: *** [Makefile:2: test] Error 127",
            *(2, "sh: 1: nox: not found", "nox is not on the PATH of checks", "install it"),
        ),
        ("sh: ./run: Permission denied", 126, "Permission denied", "./run", "--check CMD"),
        (
            "/w/.venv/bin/python: No module named pytest",
            *(1, "No module named pytest", "the Python of .venv", "-m pip install -e . pytest"),
        ),
        ("/usr/bin/python3: No module named nox", 1, "No module named nox", "lacks nox", "nox"),
        (collection("attr"), 2, "No module named 'attr'", "the Python of .venv lacks attr", "pip"),
        (collection("yaml", "src/shop/__init__.py"), 2, "'yaml'", "lacks yaml", "install -e ."),
        (collection("requests", "src/shop/__init__.py"), 2, "'requests'", "lacks", "requests"),
        (collection("knots", "src/shop/__init__.py"), 2, "'knots'", "lacks knots", "PACKAGE (the"),
        (collection("hypothesis"), 2, "'hypothesis'", "lacks hypothesis", "install it"),
        (
            collection("shop"),
            *(2, "No module named 'shop'", "does not import from src/", "PYTHONPATH=src pytest -q"),
        ),
        (
            collection("shop", error=f"ImportError: cannot import name 'f' from 'shop' ({COPY})"),
            *(
                2,
                "cannot import name 'f'",
                "import shop from /usr/lib/dist-packages, not from this",
            ),
            "PYTHONPATH=src pytest -q",
        ),
        (UNITTEST, 1, "No module named 'shop'", "does not import from src/", "PYTHONPATH=src"),
        (CONFTEST, 4, "No module named 'webtest'", "lacks webtest", "install it"),
        (USAGE, 4, "unrecognized arguments: --cov=shop", "lacks a plug-in", "pytest-cov"),
        ("ERROR: Missing required plugins: pytest-x", 4, "pytest-x", "lacks a plug-in", "install"),
        ("ERROR: file or directory not found: tests", 4, "tests", "no such file", "--check CMD"),
        (
            "python3: can't open file '/w/run.py': [Errno 2] No such file or directory",
            *(2, "can't open file '/w/run.py'", "no such file or test", "--check CMD"),
        ),
        ("make: *** No rule to make target 'test'.  Stop.", 2, "'test'", "makefile", "--check"),
        ("make: *** No targets specified and no makefile found.", 2, "No targets", "makefile", ""),
        ('npm error Missing script: "test"', 1, 'script: "test"', "package.json has no", ""),
        (TOX, 1, "No matching distribution", "attrs is not installed, and checks", "yourself"),
    ],
)
def test_a_check_that_cannot_start(
    tmp_path: Path, output: str, code: int, line: str, cause: str, hint: str
) -> None:
    failure = failure_of(tmp_path, output, code)
    assert failure is not None
    start, _, why = failure.message.partition("; ")
    assert start.startswith("the check cannot start: ") and line in start
    assert cause in why and hint in failure.hint


@pytest.mark.parametrize(
    ("output", "code", "prompt"),
    [
        ("1 failed, 3 passed", 1, ""),
        (collection("shop.cart"), 2, ""),  # a module that the project lacks
        (collection("slug"), 2, ""),  # only a test imports it, and nothing declares it
        (collection("reqests", "src/shop/__init__.py"), 2, ""),  # a slip, as `requets` below
        (collection("jsn", "src/shop/__init__.py"), 2, ""),
        (collection("util", "src/shop/__init__.py"), 2, "write a module util"),
        (collection("shop", error="SyntaxError: invalid syntax"), 2, ""),
        (collection("shop", error="ImportError: cannot import name 'f' from 'shop'"), 2, ""),
        (collection("x", error=f"ImportError: cannot import name 'f' from 'six' ({COPY})"), 2, ""),
        (collection("shop", "src/shop/__init__.py"), 2, ""),  # it should import from its package
        (BROKEN_CONFTEST, 4, ""),
        ("ERROR: file or directory not found: tests/new.py", 4, "add tests/new.py"),
        ("make: *** No rule to make target 'test'.  Stop.", 2, "write a Makefile"),
        ("make: *** No rule to make target 'a.c', needed by 'a'.  Stop.", 2, ""),
        ("sh: 1: ./check.sh: not found", 127, "write check.sh"),
        ("tests/test_shop.py:3: ModuleNotFoundError: No module named 'attr'\n1 failed", 1, ""),
        ("error: unrecognized arguments: --cov\n1 failed, 2 passed", 1, ""),
    ],
)
def test_a_check_that_fails_because_of_the_code(
    tmp_path: Path, output: str, code: int, prompt: str
) -> None:
    known = {"src__shop__requests.py": ""}
    assert failure_of(tmp_path, output, code, prompt or "Fix the tests", **known) is None


def test_the_hint_installs_what_the_requirements_declare(tmp_path: Path) -> None:
    output = collection("yaml", "src/shop/__init__.py")
    files = {"pyproject.toml": "", "requirements__dev.txt": "PyYAML>=6\n"}
    failure = failure_of(tmp_path, output, 2, **files)
    assert failure is not None and failure.hint.endswith("pip install -r requirements/dev.txt")


FIXTURE = "fixture 'mocker' not found"
RECURSIVE = "recursive dependency involving fixture 'mocker' detected"
ASYNC = "async def functions are not natively supported.\nYou need to install a plug-in"
OWN = {"tests__conftest.py": "def mocker(tmp_path):\n    pass\n"}
CHANGED = {"tests__conftest.py": "def mocker(mocker):\n    return mocker.Mock\n"}


@pytest.mark.parametrize(
    ("message", "package", "prompt", "files"),
    [
        (FIXTURE, "pytest-mock", "", {}),
        (RECURSIVE, "pytest-mock", "", CHANGED),
        (FIXTURE, "", "write the fixture mocker", {}),
        (FIXTURE, "", "", OWN),
        ("fixture 'shop_db' not found", "the plug-in with the fixture shop_db", "", {}),
        (ASYNC, "pytest-asyncio", "", {}),
        ("ModuleNotFoundError: No module named 'attrs'", "attrs", "", {}),
        ("ModuleNotFoundError: No module named 'slug'", "", "", {}),
        ("ModuleNotFoundError: No module named 'shop.cart'", "", "", {}),
        ("assert 1 == 2", "", "", {}),
    ],
)
def test_tests_without_their_package_cannot_run(
    tmp_path: Path, message: str, package: str, prompt: str, files: dict[str, str]
) -> None:
    turn = turn_in(tmp_path, prompt or "Fix the tests", **files)
    lacking = TestResult("a", "failed", message), TestResult("b", "failed", message)
    skipped = TestResult("c", "skipped", "no reason")
    all_alike = CheckResult("pytest -q", False, 1, False, 1.0, "2 failed", (*lacking, skipped))
    need = f"need {package}, which is not installed,"
    expected = {"a": need, "b": need} if package else {}
    assert environment_failures(turn, all_alike) == expected
    failure = start_failure(turn, all_alike)
    assert (failure is not None) == bool(package)
    if failure is not None:
        assert message.splitlines()[0] in failure.message
        assert f"the Python of .venv lacks {package}" in failure.message
    passed = replace(all_alike, tests=(*lacking, TestResult("d", "passed")))
    assert start_failure(turn, passed) is None


@pytest.mark.parametrize("check", ["pytest -q", ""])
def test_no_candidate_is_written_while_the_check_cannot_start(tmp_path: Path, check: str) -> None:
    (tmp_path / "shop.py").write_text("import requests\n")
    (tmp_path / "test_shop.py").write_text("import shop\n")
    output = collection("requests", "shop.py")
    sandbox = ScriptedSandbox(lambda _line, _files: CommandResult(2, output, 0.1))
    turn = scripted_turn(tmp_path, "Fix shop.py", sandbox=sandbox, request={"check": check})
    events = list(run_turn(turn, Workflow(20)))
    (failed,) = [event for event in events if isinstance(event, Failed)]
    assert failed.message.startswith("the check cannot start: ModuleNotFoundError: No module")
    assert not [event for event in events if isinstance(event, CandidateProposed)]
    assert isinstance(events[-1], TurnFinished) and events[-1].exit_code == 2
    assert len(sandbox.commands) == 1


def test_a_change_of_prose_needs_no_check_that_starts(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Shp\n")
    (tmp_path / "test_shop.py").write_text("import shop\n")
    sandbox = ScriptedSandbox(lambda _line, _files: CommandResult(127, "sh: not found", 0.1))
    turn = scripted_turn(tmp_path, "Fix README.md", sandbox=sandbox, replies=["# Shop\n"])
    events, result = run_events(Workflow(20).plan(turn))
    assert result.outcome == "answered" and turn.changed == ["README.md"]
    assert any("not verified" in event.text for event in events if isinstance(event, Warned))
