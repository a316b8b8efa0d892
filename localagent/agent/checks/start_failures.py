"""Tells checks and tests that cannot run here from those that fail.

No change of the code can repair a check whose program, packages or arguments are missing. But an
import may also fail because a module of the project is broken, or because the task is to write it.
Such a check fails, and the search can repair it. The same holds for the tests of a check.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePosixPath

from localagent.agent.checks.runner import CheckResult
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.context.builder import text_of
from localagent.core.errors import UsageError
from localagent.project.python_environment import MAKE_ENVIRONMENT, CheckPython, check_python

_MODULE = re.compile(
    r"^.*(?:ModuleNotFoundError: No module named|\bpython[\d.]*: No module named) "
    r"'?(?P<name>[\w.]+).*$",
    re.M,
)
_OTHER_COPY = re.compile(
    r"^.*ImportError: cannot import name '[^'\n]+' from '(?P<name>[\w.]+)' "
    r"\((?P<folder>/[^)\n]*/(?:site|dist)-packages)/[^)\n]+\).*$",
    re.M,
)
_FRAME = re.compile(r'^\s*File "([^"\n]+)", line \d+|^([^\s:]+\.py):\d+: in ', re.M)
_PROGRAM = re.compile(
    r"^.*?['‘]?(?P<name>[^\s:'’]+)['’]?: "
    r"(?:(?:command )?not found|No such file or directory|Permission denied).*$",
    re.M,
)
_ARGUMENTS = re.compile(r"^.*error: unrecognized arguments: (?P<name>-{1,2}[\w-]+).*$", re.M)
_PLUGINS = re.compile(r"^ERROR: Missing required plugins: (?P<name>\S+).*$", re.M)
_PATH = re.compile(r"^ERROR: (?:file or directory )?not found: (?P<name>[^\s:]+).*$", re.M)
_FILE = re.compile(r"^.*: can't open file '(?P<name>[^'\n]+)': \[Errno 2\].*$", re.M)
_TARGET = re.compile(
    r"^make: \*\*\* (?:No rule to make target ['‘`][^'’]+['’]\.|No targets).*$", re.M
)
_NO_NETWORK = re.compile(
    r"name resolution|Name or service not known|Failed to resolve|gaierror|Network is unreachable"
)
# A fixture that changes a plug-in's fixture of the same name depends on itself without the plug-in.
_FIXTURE = re.compile(r"^.*fixture '(?P<name>\w+)' (?:not found|detected).*$", re.M)
_ASYNC = re.compile(r"^.*async def functions are not natively supported.*$", re.M)
_SCRIPT = re.compile(r"^npm (?:ERR!|error) Missing script: .*$", re.M)
_PACKAGE = re.compile(r"^.*No matching distribution found for (?P<name>[^\s;]+).*$", re.M)
_REQUIREMENTS = re.compile(
    r"(pyproject\.toml|setup\.(cfg|py)|tox\.ini|noxfile\.py|Pipfile|environment\.ya?ml"
    r"|(.*/)?[\w.-]*requirements[\w./-]*\.(txt|in))"
)
# Packages whose modules have other names, and the plug-ins of pytest's options.
_PACKAGES = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "factory": "factory-boy",
    "jwt": "pyjwt",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
_OPTIONS = {"--cov": "pytest-cov", "-n": "pytest-xdist", "--timeout": "pytest-timeout"}
_FIXTURES = {
    "benchmark": "pytest-benchmark",
    "freezer": "pytest-freezer",
    "httpbin": "pytest-httpbin",
    "httpserver": "pytest-httpserver",
    "httpx_mock": "pytest-httpx",
    "mocker": "pytest-mock",
    "requests_mock": "requests-mock",
    "snapshot": "syrupy",
}
# What tests import and projects often do not declare.
_TEST_TOOLS = re.compile(
    r"pytest\w*|hypothesis|mock|freezegun|responses|faker|factory|parameterized|requests\w*"
    r"|numpy|pandas|yaml|httpx|aiohttp|django|flask|nox|tox"
)

_OTHER_CHECK = "name another check: --check CMD"


@dataclass(frozen=True, slots=True)
class _Failure:
    """The line of the output that says what is missing, the cause, and the next step."""

    line: str
    cause: str
    hint: str


def start_failure(turn: Turn, result: CheckResult) -> UsageError | None:
    """The error for a check that cannot start, or None for a check that ran."""
    if result.ok or result.timed_out:
        return None
    python = check_python(turn.services.workspace.root)
    for failure in _failures(turn, result, python):
        line = failure.line.removeprefix("E ").strip()
        return UsageError(f"the check cannot start: {line}; {failure.cause}", failure.hint)
    return None


def environment_failures(turn: Turn, result: CheckResult) -> dict[str, str]:
    """The failed tests that no change of the code repairs, by id, each with what it needs.

    What the task names, and what the project defines itself, may be written or repaired.
    """
    found = {}
    missing = cache(partial(_missing_package, turn))  # hundreds of tests may fail alike
    for test in result.failing:
        if _NO_NETWORK.search(test.message):
            found[test.id] = "need a network"
        elif package := missing(test.message):
            found[test.id] = f"need {package}, which is not installed,"
    return found


def _missing_package(turn: Turn, message: str) -> str:
    """The package, plug-in or fixture that a test's failure message says is missing, or ""."""
    if (match := _FIXTURE.search(message)) and not _defines_fixture(turn, match["name"]):
        name = match["name"]
        plugin = _FIXTURES.get(name, f"the plug-in with the fixture {name}")
        return "" if _is_mentioned(turn, name) else plugin
    if _ASYNC.search(message):
        return "pytest-asyncio"
    if (match := _MODULE.search(message)) and "." not in (name := match["name"]):
        known = bool(_declaring_file(turn, name)) or _TEST_TOOLS.fullmatch(name)
        if (
            known
            and _import_folder(name, turn.services.files()) is None
            and not _is_mentioned(turn, name)
        ):
            return name
    return ""


def _defines_fixture(turn: Turn, name: str) -> bool:
    """Whether a conftest.py defines this fixture, other than by changing a plug-in's."""
    pattern = re.compile(rf"^\s*(?:async )?def {name}\((?![^)]*\b{name}\b)", re.M)
    setups = (path for path in turn.services.files() if PurePosixPath(path).name == "conftest.py")
    return any(pattern.search(text_of(turn.services.workspace, path)) for path in setups)


def _failures(turn: Turn, result: CheckResult, python: CheckPython) -> Iterator[_Failure]:
    output = result.output
    yield from _missing_program(turn, result, python)
    if _tests_ran(result):
        yield from _every_test(turn, result, python)
        return
    for match in _MODULE.finditer(output):
        yield from _missing_module(turn, result, python, match)
    for match in _OTHER_COPY.finditer(output):
        yield from _other_copy(turn, result, python, match)
    for match in (*_ARGUMENTS.finditer(output), *_PLUGINS.finditer(output)):
        plugin = _OPTIONS.get(match["name"], "the plug-in")
        cause = f"{python} lacks a plug-in of pytest"
        yield _Failure(match[0], cause, _install(turn, python, plugin))
    for match in (*_PATH.finditer(output), *_FILE.finditer(output)):
        name = PurePosixPath(match["name"]).name
        if "." not in name or not _is_mentioned(turn, name):
            yield _Failure(match[0], "the project has no such file or test", _OTHER_CHECK)
    for pattern, file in ((_TARGET, "makefile"), (_SCRIPT, "package.json")):
        if (target := pattern.search(output)) and not _is_mentioned(turn, file):
            yield _Failure(target[0], f"the project's {file} has no such target", _OTHER_CHECK)
    for match in _PACKAGE.finditer(output):
        cause = f"{match['name']} is not installed, and checks have no network"
        yield _Failure(match[0], cause, "run the check once yourself; it then has its packages")


def _every_test(turn: Turn, result: CheckResult, python: CheckPython) -> Iterator[_Failure]:
    """The failure for a check whose tests all lack the same package."""
    ran = [test for test in result.tests if test.outcome != "skipped"]
    packages = {_missing_package(turn, message) for message in {test.message for test in ran}}
    if len(packages) == 1 and all(packages):
        package, patterns = packages.pop(), (_FIXTURE, _ASYNC, _MODULE)
        line = next(match[0] for p in patterns if (match := p.search(ran[0].message)))
        yield _Failure(line, f"{python} lacks {package}", _install(turn, python, package))


def _missing_program(turn: Turn, result: CheckResult, python: CheckPython) -> Iterator[_Failure]:
    in_make = re.search(r"^make: \*\*\* .* Error 12[67]$", result.output, re.M) is not None
    if result.usable and result.exit_code != 126 and not in_make:
        return
    found = _PROGRAM.search(result.output)
    if found and "/" in found["name"] and _is_mentioned(turn, PurePosixPath(found["name"]).name):
        return  # the task is to write this program
    module = _MODULE.search(result.output)
    if module and not in_make:
        cause = f"the check ran {python}"
        yield _Failure(module[0], cause, _install(turn, python, module["name"]))
        return
    program = found["name"] if found else "the program"
    cause = f"{program} is not on the PATH of checks, which find {python}"
    hint = f"install it in the project's environment, or {_OTHER_CHECK}"
    last = (result.output.splitlines() or ["no output"])[-1]
    yield _Failure(found[0] if found else last, cause, hint)


def _tests_ran(result: CheckResult) -> bool:
    """Whether any test ran; a file of tests that cannot be imported counts as no test."""
    if any("::" in test.id for test in result.tests) or result.passed:
        return True
    if ran := re.search(r"^Ran (\d+) tests?", result.output, re.M):
        return int(ran[1]) > len(re.findall(r"^ERROR: .*_FailedTest", result.output, re.M))
    return re.search(r"\b\d+ failed\b", result.output) is not None


def _missing_module(
    turn: Turn, result: CheckResult, python: CheckPython, match: re.Match[str]
) -> Iterator[_Failure]:
    """The failure for an import of a module that the environment lacks."""
    name, files = match["name"], turn.services.files()
    importer = _importer(turn, result.output[: match.start()])
    from_source = bool(importer) and not is_test(importer)
    folder = _import_folder(name, files)
    if folder is not None and not from_source:
        cause = f"{name} is in the project, but {python} does not import from {folder}/"
        path = f"--check 'PYTHONPATH={folder} {result.command}'"
        yield _Failure(match[0], cause, f"{_install(turn, python, '')}, or: {path}")
    if folder is not None or "." in name:
        return  # the package of a dotted name was found, so a file is missing or an import is wrong
    is_declared = bool(_declaring_file(turn, name))
    known = {*sys.stdlib_module_names, *(PurePosixPath(path).stem for path in files)}
    is_typo = from_source and bool(difflib.get_close_matches(name, known, 1, 0.8))
    if not is_declared and (is_typo or _is_mentioned(turn, name)):
        return
    is_setup = PurePosixPath(importer).name == "conftest.py" or not importer
    if is_declared or from_source or is_setup or _TEST_TOOLS.fullmatch(name):
        yield _Failure(match[0], f"{python} lacks {name}", _install(turn, python, name))


def _other_copy(
    turn: Turn, result: CheckResult, python: CheckPython, match: re.Match[str]
) -> Iterator[_Failure]:
    """The failure for tests that import an installed copy of the project, which no edit changes."""
    folder = _import_folder(match["name"], turn.services.files())
    if folder is not None:
        package = match["name"].partition(".")[0]
        cause = f"the tests import {package} from {match['folder']}, not from this project"
        path = f"--check 'PYTHONPATH={folder} {result.command}'"
        yield _Failure(match[0], cause, f"{_install(turn, python, '')}, or: {path}")


def _importer(turn: Turn, output: str) -> str:
    """The workspace's file whose import failed, by the output before the error; "" if unknown."""
    frames = list(_FRAME.finditer(output))
    path = (frames[-1][1] or frames[-1][2]) if frames else ""
    return path.removeprefix(f"{turn.services.workspace.root}/")


def _import_folder(name: str, files: Iterable[str]) -> str | None:
    """The folder from which a module of the workspace can be imported; None if there is none."""
    tail = name.replace(".", "/")
    for path in files:
        for end in (f"{tail}.py", f"{tail}/__init__.py"):
            if path == end or path.endswith(f"/{end}"):
                return path.removesuffix(end).rstrip("/") or "."
    return "." if any(path.startswith(f"{tail}/") for path in files) else None


def _declaring_file(turn: Turn, module: str) -> str:
    """The file of the project's requirements that names the package of a module, or ""."""
    package = _PACKAGES.get(module, module).lower().replace("_", "-")
    pattern = re.compile(rf"(?<![a-z0-9])(?:py|python-)?{re.escape(package)}s?(?![a-z0-9])")
    for path in turn.services.files():
        if _REQUIREMENTS.fullmatch(path):
            text = text_of(turn.services.workspace, path).lower().replace("_", "-")
            lines = (line for line in text.splitlines() if not re.match(r"\s*name\s*=", line))
            if any(pattern.search(line) for line in lines):
                return path
    return ""


def _is_mentioned(turn: Turn, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", turn.prompt, re.I) is not None


def _install(turn: Turn, python: CheckPython, package: str) -> str:
    """How the user installs what the environment lacks."""
    if python.is_ours or not python.path:
        return f"make an environment in the project: {MAKE_ENVIRONMENT}"
    pip = f"{python.path} -m pip install"
    declaring = _declaring_file(turn, package) if package else ""
    if declaring.endswith((".txt", ".in")):
        return f"install it: {pip} -r {declaring}"
    if not package or declaring.startswith(("pyproject.", "setup.")):
        return f"install it: {pip} -e ."
    known = {*_PACKAGES, *_OPTIONS.values(), *_FIXTURES.values()}
    if package not in known and not _TEST_TOOLS.fullmatch(package):
        return f"install it: {pip} PACKAGE (the package that has {package})"
    root = turn.services.workspace.root
    has_setup = any((root / name).is_file() for name in ("pyproject.toml", "setup.py"))
    name = _PACKAGES.get(package, package)
    return f"install it: {pip} {f'-e . {name}' if has_setup else name}"
