"""The reports of a CI job: what they say, and that untrusted text does nothing in them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from localagent.core.events import (
    CheckFinished,
    Decision,
    Event,
    Failed,
    FileChanged,
    SessionStarted,
    TurnFinished,
    TurnStarted,
)
from localagent.core.findings import CodeFinding
from localagent.ui.ci.documents import code_quality, junit, sarif
from localagent.ui.ci.job_log import GitHubLog, GitLabLog, PlainLog, service
from localagent.ui.ci.report import RunReport, places
from localagent.ui.ci.summary_page import summary_page

OUTPUT = (
    'calc_test.py:5: AssertionError\n::error::forged\n  File "{root}/calc.py", line 2\n\x1b[31m'
)
DIFF = "--- a/calc.py\n+++ b/calc.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    x\n+    y\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "calc.py").write_text("1\n2\n")
    (tmp_path / "calc_test.py").write_text("1\n")
    return tmp_path


def events(root: Path, outcome: str, code: int, ok: bool) -> list[Event]:
    output = "" if ok else OUTPUT.format(root=root)
    return [
        SessionStarted("s1", str(root), "m", "", "workflow", "unshare", "1", False),
        TurnStarted(1, "fix <img src=x> it"),
        CheckFinished("pytest", 0, False, 1, 1, 1, 0.5, "first"),
        CheckFinished("pytest", 7, False, 1, 1, 1, 0.5, "of a candidate"),
        Decision("shell", "rm -rf /", False, "rule"),
        FileChanged("calc.py", "a", "b", DIFF),
        CheckFinished("pytest", 0, ok, 0 if ok else 1, 2, 0, 0.5, output),
        TurnFinished(
            *(1, outcome, code, "a test\nstill fails", "pytest", "file 1", ["calc.py"]),  # type: ignore[arg-type]
            *(2.5, 100, 40, 7),
        ),
    ]


def report(root: Path, outcome: str = "unsolved", code: int = 1, ok: bool = False) -> RunReport:
    made = RunReport()
    for event in events(root, outcome, code, ok):
        made.record(event)
    return made


def test_findings_name_places_that_exist(root: Path) -> None:
    findings = report(root).findings(root, "sub/")
    assert findings == [
        CodeFinding("outcome", "error", "unsolved: a test still fails"),
        CodeFinding("check", "error", "the check fails: pytest", "sub/calc.py", 2),
        CodeFinding("check", "error", "AssertionError", "sub/calc_test.py", 5),
        CodeFinding("change", "note", "localagent changed this file", "sub/calc.py", 2),
        CodeFinding("permission", "warning", "not allowed: shell rm -rf /"),
    ]
    assert [f.rule for f in report(root, "solved", 0, True).findings(root)][:1] == ["change"]


@pytest.mark.parametrize("name", ["../other.py:3: x", "/etc/passwd.py:1: x", "gone.py:1: x"])
def test_a_place_outside_the_workspace_is_no_finding(root: Path, name: str) -> None:
    (root.parent / "other.py").write_text("")
    assert places(name, root) == []


def test_junit_counts_failures(root: Path) -> None:
    suite = ElementTree.fromstring(junit(report(root)))[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    task, check = suite.findall("testcase")
    assert task.get("name") == "fix <img src=x> it"
    assert (check.find("failure").text or "").endswith("\\x1b[31m")  # type: ignore[union-attr]
    passed = ElementTree.fromstring(junit(report(root, "solved", 0, True)))[0]
    assert (passed.get("failures"), passed.get("errors")) == ("0", "0")


def test_a_session_that_cannot_open_is_an_error(root: Path) -> None:
    made = RunReport()
    made.record(Failed("ModelNotInstalled", "no model", "fetch it"))
    suite = ElementTree.fromstring(junit(made))[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    assert made.findings(root) == [CodeFinding("outcome", "error", "error: no model")]
    assert "| hint | fetch it |" in summary_page(made)


def test_sarif_and_code_quality_hold_the_places(root: Path) -> None:
    findings = [
        CodeFinding("check", "error", "x", "a b.py", 3),
        CodeFinding("outcome", "error", "y"),
    ]
    (run,) = json.loads(sarif(findings, exit_code=1))["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["check", "outcome"]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.py"
    assert place["region"] == {"startLine": 3}
    assert "locations" not in second
    assert run["invocations"] == [{"executionSuccessful": True, "exitCode": 1}]
    (issue,) = json.loads(code_quality(findings))
    assert issue["location"] == {"path": "a b.py", "lines": {"begin": 3}}
    again = json.loads(code_quality([CodeFinding("check", "error", "x", "a b.py", 4)]))
    assert issue["fingerprint"] != again[0]["fingerprint"]


def test_the_summary_is_harmless_markdown(root: Path) -> None:
    page = summary_page(report(root))
    assert page.startswith("## ❌ localagent: unsolved\n")
    assert "&lt;img" in page and "<img" not in page
    assert "| check | pytest: " in page and "```diff\n--- a/calc.py" in page


@pytest.mark.parametrize("fence", ["```", "~~~"])
def test_a_fence_in_a_fact_opens_no_block_in_the_summary(root: Path, fence: str) -> None:
    """A viewer would take the output after it for Markdown, and load its images."""
    output = "```\n![x](http://evil.example/?q=1)\n~~~\n![y](http://evil.example/?q=2)\n```\n"
    made = report(root)
    made.prompt = f"{fence} task"
    made.warnings = [f"{fence} warning"]
    made.checks = [CheckFinished(f"{fence} check", 0, False, 1, 1, 1, 0.5, output)]
    page = MarkdownIt("commonmark", {"html": True}).render(summary_page(made))
    assert "<img" not in page


def test_a_long_diff_is_left_out_of_the_summary(root: Path) -> None:
    made = report(root)
    made.changes = [FileChanged("big.py", "a", "b", "+x\n" * 200_000)]
    page = summary_page(made)
    assert "too long" in page and len(page) < 2000


def test_github_reads_no_command_but_ours() -> None:
    lines: list[str] = []
    log = GitHubLog(lines.append, "secret")
    log.begin("work 100%")
    lines.append("::set-env name=PATH::/evil\n")
    log.end()
    log.annotate([CodeFinding("check", "warning", "50% of\na,b", "a,b:c.py", 3)])
    log.close()
    assert obeyed("".join(lines), "secret") == [
        "::group::work 100%25",
        "::endgroup::",
        "::warning file=a%2Cb%3Ac.py,line=3,title=localagent check::50%25 of a,b",
    ]
    tokens = {GitHubLog(lines.append)._token for _ in range(2)}
    assert len(tokens) == 2 and all(len(token) == 32 for token in tokens)


def obeyed(log: str, token: str) -> list[str]:
    """The commands that GitHub's runner would obey."""
    commands, stopped = [], False
    for line in log.splitlines():
        if line == f"::{token}::":
            stopped = False
        elif line == f"::stop-commands::{token}":
            stopped = True
        elif line.startswith("::") and not stopped:
            commands.append(line)
    return commands


def test_sections_of_gitlab_have_one_name_at_both_ends() -> None:
    lines: list[str] = []
    log = GitLabLog(lines.append)
    log.begin("At work")
    log.end()
    names = [line.split(":")[2].partition("\r")[0] for line in lines]
    assert names == ["at_work", "at_work"]


def test_plain_findings_are_like_a_compilers() -> None:
    lines: list[str] = []
    PlainLog(lines.append).annotate([CodeFinding("check", "error", "x\ny", "a.py", 3)])
    assert lines == ["a.py:3: error: x y\n"]


def test_the_service_is_known_by_its_variables() -> None:
    assert service({"GITHUB_ACTIONS": "true"}) == "github"
    assert service({"GITLAB_CI": "true"}) == "gitlab"
    assert service({"JENKINS_URL": "x"}) == "plain"
