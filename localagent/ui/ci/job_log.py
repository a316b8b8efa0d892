"""Groups and annotations in the log of a CI job, in the form of GitHub, GitLab or plain text."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from localagent.core.findings import CodeFinding
from localagent.ui.view.sanitize import one_line

Dialect = Literal["github", "gitlab", "plain"]
DIALECTS: tuple[Dialect, ...] = ("github", "gitlab", "plain")
_WORDS = {"error": "error", "warning": "warning", "note": "notice"}


class JobLog(Protocol):
    """Writes the lines that the CI service reads."""

    def begin(self, title: str) -> None:
        """Begin a group of lines that the service folds."""

    def end(self) -> None:
        """End the group."""

    def annotate(self, findings: Iterable[CodeFinding]) -> None:
        """Write findings, which the service shows beside the code if it can."""

    def close(self) -> None:
        """Leave the log as it was."""


class PlainLog:
    """Titles, and findings in the form of compilers, which Jenkins and editors read."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def begin(self, title: str) -> None:
        """Write the title."""
        self._write(f"== {title}\n")

    def end(self) -> None:
        """Write an empty line."""
        self._write("\n")

    def annotate(self, findings: Iterable[CodeFinding]) -> None:
        """Write a line "path:line: level: message" for each finding."""
        for finding in findings:
            place = f"{one_line(finding.path)}:{finding.line}: " if finding.path else ""
            self._write(f"{place}{finding.level}: {one_line(finding.message)}\n")

    def close(self) -> None:
        """Do nothing."""


class GitLabLog(PlainLog):
    """Sections of GitLab. Its annotations come from the file of `--code-quality`."""

    _name = ""

    def begin(self, title: str) -> None:
        """Begin a section."""
        self._name = re.sub(r"\W+", "_", title.lower())
        self._write(f"\x1b[0Ksection_start:{int(time.time())}:{self._name}\r\x1b[0K{title}\n")

    def end(self) -> None:
        """End the section."""
        self._write(f"\x1b[0Ksection_end:{int(time.time())}:{self._name}\r\x1b[0K\n")


class GitHubLog:
    """Workflow commands of GitHub.

    A line that begins with "::" is a command to the runner, whoever wrote the line. So commands are
    switched off while other text is written, with a token that only the runner and localagent know.
    """

    def __init__(self, write: Callable[[str], object], token: str = "") -> None:
        self._write = write
        self._token = token or secrets.token_hex(16)
        self._write(f"::stop-commands::{self._token}\n")

    def _command(self, *lines: str) -> None:
        text = "".join(f"{line}\n" for line in lines)
        self._write(f"::{self._token}::\n{text}::stop-commands::{self._token}\n")

    def begin(self, title: str) -> None:
        """Begin a group."""
        self._command(f"::group::{_escaped(title)}")

    def end(self) -> None:
        """End the group."""
        self._command("::endgroup::")

    def annotate(self, findings: Iterable[CodeFinding]) -> None:
        """Write an annotation for each finding."""
        lines = []
        for finding in findings:
            place = {"file": finding.path, "line": str(finding.line)} if finding.path else {}
            facts = {**place, "title": f"localagent {finding.rule}"}
            listed = ",".join(f"{key}={_property(value)}" for key, value in facts.items())
            text = _escaped(one_line(finding.message))
            lines.append(f"::{_WORDS[finding.level]} {listed}::{text}")
        self._command(*lines)

    def close(self) -> None:
        """Let the runner read commands again."""
        self._write(f"::{self._token}::\n")


def job_log(dialect: Dialect, write: Callable[[str], object]) -> JobLog:
    """The log in a service's form."""
    if dialect == "github":
        return GitHubLog(write)
    return GitLabLog(write) if dialect == "gitlab" else PlainLog(write)


def service(environ: Mapping[str, str]) -> Dialect:
    """The form that fits the CI service which set these variables."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return "github"
    return "gitlab" if environ.get("GITLAB_CI") else "plain"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
