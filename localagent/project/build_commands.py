"""Find the commands that build, test, lint and format a project, without running any.

The project's own scripts and targets (scripts/, Makefile, justfile, package.json) come first,
because its developers use them. The usual commands of the project's tools come next.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

PURPOSES = ("build", "test", "lint", "format", "types", "run")

Read = Callable[[str], str]
"""A function that returns a file's text, or "" for an unreadable file."""

# For each purpose, the usual names of targets and scripts.
_NAMES: dict[str, tuple[str, ...]] = {
    "build": ("build", "compile"),
    "test": ("test", "tests", "check"),
    "lint": ("lint",),
    "format": ("format", "fmt"),
    "types": ("typecheck", "type-check", "types", "mypy"),
    "run": ("run", "start", "dev", "serve"),
}
_MANIFESTS: dict[str, dict[str, str]] = {
    "Cargo.toml": {
        "build": "cargo build",
        "test": "cargo test",
        "lint": "cargo clippy",
        "format": "cargo fmt",
    },
    "go.mod": {
        "build": "go build ./...",
        "test": "go test ./...",
        "lint": "go vet ./...",
        "format": "gofmt -w .",
    },
    "pom.xml": {"build": "mvn package", "test": "mvn test"},
    "build.gradle": {"build": "./gradlew build", "test": "./gradlew test"},
    "build.gradle.kts": {"build": "./gradlew build", "test": "./gradlew test"},
    "mix.exs": {"build": "mix compile", "test": "mix test", "format": "mix format"},
    "CMakeLists.txt": {
        "build": "cmake -B build && cmake --build build",
        "test": "ctest --test-dir build",
    },
    "Package.swift": {"build": "swift build", "test": "swift test"},
    "tox.ini": {"test": "tox"},
    "noxfile.py": {"test": "nox"},
    ".rubocop.yml": {"lint": "rubocop"},
    ".rspec": {"test": "bundle exec rspec"},
}
_PYTHON_TOOLS: dict[str, dict[str, str]] = {
    "ruff": {"lint": "ruff check .", "format": "ruff format ."},
    "black": {"format": "black ."},
    "mypy": {"types": "mypy"},
    "pyright": {"types": "pyright"},
}


def build_commands(files: Sequence[str], read: Read) -> dict[str, str]:
    """The command for each purpose for which one is found, in the order of PURPOSES."""
    found: dict[str, str] = {}
    for purpose, command in _all(frozenset(files), read):
        found.setdefault(purpose, command)
    if "test" not in found and (check := find_check(files, read)):
        found["test"] = check
    return {purpose: found[purpose] for purpose in PURPOSES if purpose in found}


def _all(files: frozenset[str], read: Read) -> Iterator[tuple[str, str]]:
    for folder in ("scripts", "script", "bin"):
        yield from _commands_by_purpose(set(_below(files, folder)), f"{folder}/")
    for name, program in (("Makefile", "make"), ("makefile", "make"), ("justfile", "just")):
        if name in files:
            yield from _commands_by_purpose(
                set(re.findall(r"^([\w-]+)\s*:(?!=)", read(name), re.M)), program
            )
    if "package.json" in files:
        manager = _package_manager(files)
        yield from _commands_by_purpose(_scripts(read("package.json")), f"{manager} run")
    for manifest, commands in _MANIFESTS.items():
        if manifest in files:
            yield from commands.items()
    if any(name.endswith((".sln", ".csproj")) for name in files):
        yield from (("build", "dotnet build"), ("test", "dotnet test"))
    for tool in python_tools(files, read):
        yield from _PYTHON_TOOLS.get(tool, {}).items()


def python_tools(files: frozenset[str], read: Read) -> list[str]:
    """The Python tools that have a section in pyproject.toml or their own settings file."""
    own = {"ruff.toml": "ruff", ".ruff.toml": "ruff", "mypy.ini": "mypy", "pytest.ini": "pytest"}
    found = [tool for name, tool in own.items() if name in files]
    if "pyproject.toml" in files:
        tools = toml(read("pyproject.toml")).get("tool", {})
        found += list(tools) if isinstance(tools, dict) else []
    return list(dict.fromkeys(found))


def toml(text: str) -> dict[str, object]:
    """Parse a TOML file; {} if the text is not valid TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return {}


def _below(files: frozenset[str], folder: str) -> Iterator[str]:
    """The names of the programs directly in a folder: shell scripts, and files without suffix."""
    for path in files:
        head, _, name = path.rpartition("/")
        if head == folder and ("." not in name or name.endswith(".sh")):
            yield name


def _commands_by_purpose(names: set[str], prefix: str) -> Iterator[tuple[str, str]]:
    """For each of `names` that is usual for a purpose, the purpose and the command."""
    between = "" if prefix.endswith("/") else " "
    for purpose, called in _NAMES.items():
        for word in called:
            for name in (word, f"{word}.sh"):
                if name in names:
                    yield purpose, f"{prefix}{between}{name}"


def _scripts(text: str) -> set[str]:
    try:
        scripts = json.loads(text).get("scripts", {})
    except (ValueError, AttributeError, RecursionError):
        return set()
    known = scripts if isinstance(scripts, dict) else {}
    return {name for name, command in known.items() if "no test specified" not in str(command)}


def _package_manager(files: frozenset[str]) -> str:
    locks = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}
    return next((name for lock, name in locks.items() if lock in files), "npm")


def find_check(files: Sequence[str], read: Any) -> str:
    """A check command that fits the project's files, or ""."""
    names = set(files)
    tests = [f for f in files if re.search(r"(^|/)(test_[^/]*|[^/]*_test)\.py$", f)]
    if tests or "pytest.ini" in names:
        return "python -m pytest -q"
    if "package.json" in names and _npm_has_test(read("package.json")):
        return "npm test"
    if "go.mod" in names:
        return "go test ./..."
    if "Cargo.toml" in names:
        return "cargo test"
    for makefile in ("Makefile", "makefile", "GNUmakefile"):
        if makefile in names and re.search(r"^test\s*:", read(makefile), re.M):
            return "make test"
    return ""


def _npm_has_test(text: str) -> bool:
    try:
        scripts = json.loads(text).get("scripts", {})
    except (ValueError, AttributeError, RecursionError):
        return False
    command = scripts.get("test", "") if isinstance(scripts, dict) else ""
    return bool(command) and "no test specified" not in command
