"""The project's linters and type checkers, run on both sides of a diff; new findings count."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from localagent.core.findings import CodeFinding, Level
from localagent.project.build_commands import Read, python_tools
from localagent.sandbox.base import CommandResult

_PYTHON = (".py", ".pyi")
_SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx")
_PLACE = re.compile(r"^(?P<path>[^:\n]+):(?P<line>\d+):(?:\d+:)? (?P<text>\S.*)$", re.M)
_MYPY = re.compile(r"error: (?P<text>.*?)(?:  \[(?P<code>[\w-]+)\])?$")
_CODE = re.compile(r"(?P<code>[A-Z]+\d+|invalid-syntax|SyntaxError):? (?:\[\*\] )?(?P<text>.*)")
# Codes of pyflakes and of syntax errors: the code is wrong, not only unusual.
_WRONG = re.compile(r"F(?!401|841)\d|E9|invalid-syntax|SyntaxError")

Parse = Callable[[str], Iterable[CodeFinding]]


@dataclass(frozen=True, slots=True)
class Linter:
    """A program that checks files. `command` gets the files as its last words."""

    name: str
    command: str
    suffixes: tuple[str, ...]
    parse: Parse

    def line(self, paths: Sequence[str]) -> str:
        """The command line for some files. No name is taken for an option."""
        names = [f"./{path}" if path.startswith("-") else path for path in paths]
        return f"{self.command} {shlex.join(names)}"


def _flake(name: str) -> Parse:
    def parse(output: str) -> Iterator[CodeFinding]:
        for match in _PLACE.finditer(output):
            if found := _CODE.match(match["text"]):
                level: Level = "error" if _WRONG.match(found["code"]) else "warning"
                rule = f"{name} {found['code']}"
                yield CodeFinding(rule, level, found["text"], match["path"], int(match["line"]))

    return parse


def _mypy(output: str) -> Iterator[CodeFinding]:
    for match in _PLACE.finditer(output):
        if found := _MYPY.match(match["text"]):
            rule = f"mypy {found['code'] or 'error'}"
            yield CodeFinding(rule, "error", found["text"], match["path"], int(match["line"]))


def _eslint(output: str) -> Iterator[CodeFinding]:
    start = output.find("[{")
    try:
        files = json.JSONDecoder().raw_decode(output[start:])[0] if start >= 0 else []
        for file in files:
            for each in file["messages"]:
                level: Level = "error" if each["severity"] == 2 else "warning"
                rule = f"eslint {each['ruleId'] or 'syntax'}"
                yield CodeFinding(rule, level, each["message"], file["filePath"], each["line"])
    except (ValueError, KeyError, TypeError):
        return


RUFF = Linter("ruff", "ruff check --output-format=concise --no-cache", _PYTHON, _flake("ruff"))
FLAKE8 = Linter("flake8", "flake8", _PYTHON, _flake("flake8"))
MYPY = Linter(
    "mypy",
    "mypy --no-error-summary --hide-error-context --no-color-output --no-pretty --show-error-codes",
    _PYTHON,
    _mypy,
)
ESLINT = Linter("eslint", "node_modules/.bin/eslint --format json", _SCRIPTS, _eslint)


def configured(files: Sequence[str], read: Read) -> list[Linter]:
    """The linters that the project configures."""
    names = frozenset(files)
    tools = python_tools(names, read)
    settings = "".join(read(name) for name in ("setup.cfg", "tox.ini") if name in names)
    linters = [each for each in (RUFF, MYPY) if each.name in tools or f"[{each.name}]" in settings]
    if ".flake8" in names or "[flake8]" in settings:
        linters.append(FLAKE8)
    if any(re.fullmatch(r"(eslint\.config\.\w+|\.eslintrc(\.\w+)?)", name) for name in names):
        linters.append(ESLINT)
    return linters


def failure(linter: Linter, done: CommandResult) -> str:
    """The reason why a linter gave no findings, or ""."""
    if done.timed_out or done.stopped:
        return f"{linter.name} took too long"
    if done.exit_code in (0, 1):
        return ""
    first = next(iter(done.output.strip().splitlines()), f"exit code {done.exit_code}")
    return f"{linter.name} cannot run: {first}"


def new_findings(
    old: Iterable[CodeFinding], new: Iterable[CodeFinding], old_paths: dict[str, str]
) -> list[CodeFinding]:
    """The findings of the new side that the old side lacks, wherever their lines moved.

    `old_paths` maps the new paths of files to their old ones.
    """
    known = Counter((each.path, each.rule, _text(each)) for each in old)
    found = []
    for each in new:
        key = (old_paths.get(each.path, each.path), each.rule, _text(each))
        if known[key]:
            known[key] -= 1
        else:
            found.append(each)
    return found


def _text(finding: CodeFinding) -> str:
    """The message without numbers, which change with the lines around."""
    return re.sub(r"\d+", "#", finding.message)
