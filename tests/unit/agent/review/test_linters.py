"""Findings of linters: read from their output, and compared between two sides."""

from __future__ import annotations

import json

import pytest

from localagent.agent.review.linters import (
    ESLINT,
    FLAKE8,
    MYPY,
    RUFF,
    Linter,
    configured,
    failure,
    new_findings,
)
from localagent.core.findings import CodeFinding
from localagent.sandbox.base import CommandResult

MESSAGE = {"ruleId": None, "severity": 2, "message": "no", "line": 4}
SCRIPT = json.dumps([{"filePath": "/w/a.js", "messages": [MESSAGE]}])
LONG = "line too long (90 > 79 characters)"


@pytest.mark.parametrize(
    ("linter", "output", "findings"),
    [
        (
            RUFF,
            "a.py:3:8: F401 [*] `os` imported but unused\na.py:9:1: F821 Undefined name `c`\n"
            "b.py:1:5: invalid-syntax: Expected a name\nFound 3 errors.\n",
            [
                CodeFinding("ruff F401", "warning", "`os` imported but unused", "a.py", 3),
                CodeFinding("ruff F821", "error", "Undefined name `c`", "a.py", 9),
                CodeFinding("ruff invalid-syntax", "error", "Expected a name", "b.py", 1),
            ],
        ),
        (
            FLAKE8,
            f"a.py:1:80: E501 {LONG}\n",
            [CodeFinding("flake8 E501", "warning", LONG, "a.py", 1)],
        ),
        (
            MYPY,
            'a.py:2: error: Name "c" is not defined  [name-defined]\na.py:2: note: see\n'
            "a.py: error: Source file found twice\n",
            [CodeFinding("mypy name-defined", "error", 'Name "c" is not defined', "a.py", 2)],
        ),
        (ESLINT, SCRIPT, [CodeFinding("eslint syntax", "error", "no", "/w/a.js", 4)]),
        (ESLINT, "Oops: no config", []),
    ],
)
def test_output_is_read(linter: Linter, output: str, findings: list[CodeFinding]) -> None:
    assert list(linter.parse(output)) == findings


def finding(line: int, message: str = "too long (90 > 79)", path: str = "a.py") -> CodeFinding:
    return CodeFinding("flake8 E501", "warning", message, path, line)


def test_a_finding_that_only_moved_is_not_new() -> None:
    old = [finding(3), finding(9, "unused")]
    new = [finding(5, "too long (95 > 79)"), finding(7), finding(11, "unused")]
    assert new_findings(old, new, {}) == [finding(7)]


def test_a_renamed_file_keeps_its_findings() -> None:
    assert new_findings([finding(3)], [finding(3, path="b.py")], {"b.py": "a.py"}) == []


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"pyproject.toml": "[tool.ruff]\n[tool.mypy]\n"}, ["ruff", "mypy"]),
        ({"setup.cfg": "[flake8]\n[mypy]\n"}, ["mypy", "flake8"]),
        ({".flake8": "", "mypy.ini": "", "eslint.config.mjs": ""}, ["mypy", "flake8", "eslint"]),
        ({".eslintrc.json": "{}"}, ["eslint"]),
        ({"pyproject.toml": "[project]\n"}, []),
    ],
)
def test_the_project_chooses_its_linters(files: dict[str, str], names: list[str]) -> None:
    assert [each.name for each in configured(list(files), files.__getitem__)] == names


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (CommandResult(1, "a.py:1:1: F401 x", 0.1), ""),
        (CommandResult(127, "sh: ruff: not found\n", 0.1), "ruff cannot run: sh: ruff: not found"),
        (CommandResult(2, "", 0.1), "ruff cannot run: exit code 2"),
        (CommandResult(-9, "", 0.1, timed_out=True), "ruff took too long"),
    ],
)
def test_a_linter_that_cannot_run_says_why(done: CommandResult, reason: str) -> None:
    assert failure(RUFF, done) == reason


def test_names_of_files_are_quoted() -> None:
    assert RUFF.line(["a b.py", "$(x).py"]).endswith(" 'a b.py' '$(x).py'")
