"""A pytest plug-in that reports each test's outcome as one JSON line at the end of the output.

The plug-in runs inside the sandbox, in the project's own interpreter and next to its plug-ins. So
it uses only the standard library and supports old Python versions. If LOCALAGENT_PROBE_TRACE lists
files (paths relative to the root, joined by os.pathsep), the plug-in also records which of their
lines each test runs. The report guides the search; only the exit code decides whether a check
passed.
"""

import ast
import base64
import json
import os
import sys
import warnings
import zlib
from typing import Any, Dict, List, Set, Tuple  # the generic types of older Python versions

MARK = "LOCALAGENT-PROBE "
MESSAGE_CHARS = 600
STATEMENT_CHARS = 160
# The sandbox keeps a quarter of a megabyte of a check's output. The lines of 400 tests need more.
PLAIN_CHARS = 20_000
# Most traced steps of one test. Tracing makes a step ten times slower, so a test with a loop of
# millions would not end. All lines of such a loop are recorded long before this limit.
MAX_STEPS = 100_000
_tests: Dict[str, Dict[str, Any]] = {}
_lines: Dict[str, Dict[str, Set[int]]] = {}
_current: List[str] = []
_recorders: Dict[str, Any] = {}  # the trace function of each file in the current test
_steps = [0]
_ROOT = os.environ.get("LOCALAGENT_PROBE_ROOT") or os.getcwd()  # a test may change the folder


def _read_traced() -> Set[str]:
    return {p for p in os.environ.get("LOCALAGENT_PROBE_TRACE", "").split(os.pathsep) if p}


_TRACED = _read_traced()
_known: Dict[str, str] = {}
_sources: Dict[str, Tuple[List[str], List[Tuple[int, int]]]] = {}


def _traced_name(filename: str) -> str:
    """The traced file that code comes from, or ""; code may be compiled under any name."""
    if filename not in _known:
        path = os.path.normpath(os.path.join(_ROOT, filename))
        inside = path.startswith(_ROOT + os.sep)
        name = path[len(_ROOT) + 1 :].replace(os.sep, "/") if inside else ""
        _known[filename] = name if name in _TRACED else ""
    return _known[filename]


def _recorder(ran: Set[int]) -> Any:
    """A trace function that adds the lines of a file to `ran`; made once for each file and test."""

    def record(frame: Any, event: str, _arg: Any) -> Any:
        _steps[0] += 1
        if _steps[0] > MAX_STEPS:
            sys.settrace(None)
            return None
        if event == "line":
            ran.add(frame.f_lineno)
        return record

    return record


def _global(frame: Any, _event: str, _arg: Any) -> Any:
    _steps[0] += 1
    if _steps[0] > MAX_STEPS:
        sys.settrace(None)
        return None
    filename = frame.f_code.co_filename
    if filename not in _recorders:
        name = _traced_name(filename)
        ran = _lines.setdefault(_current[0], {}).setdefault(name, set()) if name else set()
        _recorders[filename] = _recorder(ran) if name else None
    return _recorders[filename]


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    _current[:] = [nodeid]
    _recorders.clear()
    _steps[0] = 0
    if _TRACED:
        sys.settrace(_global)


def pytest_runtest_logfinish(nodeid: str, location: Any) -> None:
    if _TRACED:
        sys.settrace(None)
    _current[:] = []


def _message(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = getattr(report, "longreprtext", "") or ""
    errors = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    shown = "\n".join(errors) or (crash.message if crash else text[-MESSAGE_CHARS:])
    lines = [_statement(text), shown]
    return "\n".join(line for line in lines if line)[:MESSAGE_CHARS].strip()


def _is_incomplete(statement: str) -> bool:
    """Whether a text is an incomplete statement.

    A short traceback shows only a statement's first line, which may end inside a bracket.
    """
    try:
        ast.parse(statement)
    except (SyntaxError, ValueError, RecursionError):
        return True
    return False


def _whole_statement(report: Any) -> str:
    """The test's whole failing statement, if the message has only the statement's first line."""
    if not _is_incomplete(_statement(getattr(report, "longreprtext", "") or "")):
        return ""
    place = next(iter(_frames(report)), None)
    if place is None:
        return ""
    lines, statements = _source(place[0])
    for first, last in statements:
        if first <= place[1] <= last:
            return " ".join(line.strip() for line in lines[first - 1 : last])[:STATEMENT_CHARS]
    return ""


def _source(path: str) -> Tuple[List[str], List[Tuple[int, int]]]:
    """A file's lines, and the line ranges of its simple statements that span several lines."""
    if path not in _sources:
        lines, statements = [], []  # type: List[str], List[Tuple[int, int]]
        try:
            with open(path, encoding="utf-8") as file:
                source = file.read()
            lines = source.splitlines()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # no warnings about the project's escapes
                tree = ast.parse(source)
            for node in ast.walk(tree):
                last = getattr(node, "end_lineno", None)  # not before Python 3.8
                first = getattr(node, "lineno", 0)
                simple = isinstance(node, ast.stmt) and not hasattr(node, "body")
                if simple and last and first < last:
                    statements.append((first, last))
        except (OSError, SyntaxError, ValueError, RecursionError):
            pass
        _sources[path] = (lines, statements)
    return _sources[path]


def _statement(text: str) -> str:
    """The failing statement of the test, which is the first one in a short traceback.

    The code that raised the error is left out, because a small model copies the code that it reads.
    """
    statement: List[str] = []
    for line in text.splitlines():
        if line.startswith("E ") or (statement and not line.startswith(("    ", "> "))):
            break
        if line.startswith("> "):  # the long style also shows the function's earlier lines
            statement = [line[1:].strip()]
        elif line.startswith("    ") and line.strip(" ^~"):
            statement.append(line.strip())
    return " ".join(statement)[:STATEMENT_CHARS]


def _frames(report: Any) -> List[List[Any]]:
    """The traceback as [path, line] pairs, outermost first."""
    frames = []
    trace = getattr(report.longrepr, "reprtraceback", None)
    for entry in getattr(trace, "reprentries", []):
        place = getattr(entry, "reprfileloc", None)
        if place is not None:
            frames.append([str(place.path).replace(os.sep, "/"), place.lineno])
    return frames


def pytest_runtest_logreport(report: Any) -> None:
    known = _tests.setdefault(report.nodeid, {"outcome": "passed"})
    if report.failed:
        known["outcome"] = "failed"
        known["message"] = _message(report)
        known["statement"] = _whole_statement(report)
        known["frames"] = _frames(report)
    elif report.skipped:
        known["outcome"] = "skipped"


def pytest_collectreport(report: Any) -> None:
    if report.failed:
        _tests[report.nodeid or "collection"] = {
            "outcome": "failed",
            "message": _message(report),
            "frames": [],
        }


def pytest_unconfigure(config: Any) -> None:
    lines = {
        test: {path: sorted(ran) for path, ran in files.items()} for test, files in _lines.items()
    }
    report = json.dumps({"tests": _tests, "lines": lines})
    if len(report) > PLAIN_CHARS:
        packed = base64.b64encode(zlib.compress(report.encode())).decode()
        report = json.dumps({"packed": packed})
    print("\n" + MARK + report, file=sys.__stdout__, flush=True)
