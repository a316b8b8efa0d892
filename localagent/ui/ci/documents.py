"""The reports of a run for the tools of a CI service: JUnit, SARIF and GitLab's code quality."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from localagent import __version__
from localagent.core.findings import CodeFinding, Level
from localagent.ui.ci.report import RunReport
from localagent.ui.view.sanitize import clean, one_line

_RULES = {
    "outcome": "The run did not solve its task.",
    "check": "The check fails at this place.",
    "change": "localagent changed this file.",
    "permission": "A permission rule denied an action.",
    "blocked": "A guard stopped an action.",
}
_SEVERITY: dict[Level, str] = {"error": "major", "warning": "minor", "note": "info"}
# Outcomes in which the code did not pass. Other outcomes but success are errors of the run itself.
_FAILURES = ("unsolved", "unverified", "limit")


def junit(report: RunReport) -> str:
    """The run as a JUnit test suite: a test case for the task, and one for the last check."""
    suite = ElementTree.Element("testsuite", name="localagent")
    if started := report.started:
        facts = ElementTree.SubElement(suite, "properties")
        for name in ("session", "model", "planner", "sandbox", "version"):
            value = clean(str(getattr(started, name)))
            ElementTree.SubElement(facts, "property", name=name, value=value)
    seconds = report.end.seconds if report.end else 0.0
    task = _case(suite, "task", report.prompt or "open the session", seconds)
    if not report.passed:
        kind = "failure" if report.outcome in _FAILURES else "error"
        _fault(task, kind, report.outcome, report.summary)
    last = report.checks[-1] if report.checks else None
    if last is not None:
        case = _case(suite, "check", last.command, last.seconds)
        if not last.ok:
            _fault(case, "failure", f"exit code {last.exit_code}", last.output)
    for name, tag in (("failures", "failure"), ("errors", "error")):
        suite.set(name, str(len(suite.findall(f"*/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("time", f"{seconds:.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _case(suite: ElementTree.Element, kind: str, name: str, seconds: float) -> ElementTree.Element:
    facts = {"classname": f"localagent.{kind}", "name": one_line(name), "time": f"{seconds:.3f}"}
    return ElementTree.SubElement(suite, "testcase", facts)


def _fault(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    facts = {"type": kind, "message": one_line(text)}
    ElementTree.SubElement(case, tag, facts).text = clean(text)


def sarif(findings: Sequence[CodeFinding], *, exit_code: int) -> str:
    """Findings as a SARIF 2.1.0 log."""
    rules = list(dict.fromkeys(finding.rule for finding in findings))
    described = [
        {"id": rule, "shortDescription": {"text": _RULES.get(rule, rule)}} for rule in rules
    ]
    driver = {"name": "localagent", "version": __version__, "rules": described}
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": exit_code in (0, 1), "exitCode": exit_code}],
        "results": [_result(finding) for finding in findings],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _result(finding: CodeFinding) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": finding.level,
        "message": {"text": clean(finding.message)},
        "properties": {"confidence": finding.confidence},
    }
    if finding.path:
        place = {"uri": quote(finding.path), "uriBaseId": "%SRCROOT%"}
        region = {"startLine": finding.line}
        result["locations"] = [{"physicalLocation": {"artifactLocation": place, "region": region}}]
    return result


def code_quality(findings: Sequence[CodeFinding]) -> str:
    """Findings on files as a code quality report of GitLab."""
    return json.dumps([_issue(finding) for finding in findings if finding.path], indent=1) + "\n"


def _issue(finding: CodeFinding) -> dict[str, Any]:
    identity = f"{finding.rule}\0{finding.path}\0{finding.line}\0{finding.message}"
    return {
        "description": clean(finding.message),
        "check_name": finding.rule,
        "fingerprint": hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest(),
        "severity": _SEVERITY[finding.level],
        "location": {"path": finding.path, "lines": {"begin": finding.line}},
    }
