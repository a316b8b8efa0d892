"""The facts of one run that the reports of a CI job hold, collected from its events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localagent.code.tracebacks import frames
from localagent.core.events import (
    Blocked,
    CheckFinished,
    Decision,
    Event,
    Failed,
    FileChanged,
    SessionStarted,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.core.findings import CodeFinding
from localagent.ui.view.sanitize import one_line

MAX_PLACES = 10
"""Places of one check's output that become findings. GitHub shows ten of each level for a step."""
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+).*\n((?: .*\n)*)", re.MULTILINE)


@dataclass
class RunReport:
    """What happened in a run of one turn. `checks` ran on the workspace, not on a candidate."""

    started: SessionStarted | None = None
    prompt: str = ""
    checks: list[CheckFinished] = field(default_factory=list)
    changes: list[FileChanged] = field(default_factory=list)
    denied: list[Decision] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: Failed | None = None
    end: TurnFinished | None = None

    def record(self, event: Event) -> None:
        """Take the facts of one event."""
        match event:
            case SessionStarted():
                self.started = event
            case TurnStarted(prompt=prompt):
                self.prompt = prompt
            case CheckFinished(candidate=0):
                self.checks.append(event)
            case FileChanged():
                self.changes.append(event)
            case Decision(allowed=False):
                self.denied.append(event)
            case Blocked():
                self.blocked.append(event)
            case Warned(text=text):
                self.warnings.append(text)
            case Failed():
                self.failure = event
            case TurnFinished():
                self.end = event

    @property
    def outcome(self) -> str:
        """The outcome of the turn, or "error" if there was no turn."""
        return self.end.outcome if self.end else "error"

    @property
    def passed(self) -> bool:
        """Whether the run ends with exit code 0."""
        return self.end is not None and self.end.exit_code == 0

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.end and self.end.summary and self.outcome != "answered":
            return one_line(self.end.summary, 400)
        if self.failure:
            return one_line(self.failure.message, 400)
        return self.outcome

    def findings(self, root: Path, prefix: str = "") -> list[CodeFinding]:
        """The findings of the run. `prefix` leads from the checkout to the workspace `root`."""
        found = [*self._failing(root), *self._changed(), *self._guarded()]
        return [
            CodeFinding(f.rule, f.level, f.message, f"{prefix}{f.path}" if f.path else "", f.line)
            for f in found
        ]

    def _failing(self, root: Path) -> Iterator[CodeFinding]:
        """The run's own result, and the places that the output of a failing last check names."""
        if not self.passed:
            yield CodeFinding("outcome", "error", f"{self.outcome}: {self.summary}")
        last = self.checks[-1] if self.checks else None
        if last is not None and not last.ok:
            for path, line in places(last.output, root)[:MAX_PLACES]:
                text = said_about(last.output, path, line) or f"the check fails: {last.command}"
                yield CodeFinding("check", "error", text, path, line)

    def _changed(self) -> Iterator[CodeFinding]:
        for change in self.changes:
            hunk = _HUNK.search(change.diff)
            what = "changed" if change.before_sha256 else "created"
            if change.after_sha256:
                line = max(int(hunk[1]) + hunk[2].count("\n"), 1) if hunk else 1
                yield CodeFinding(
                    "change", "note", f"localagent {what} this file", change.path, line
                )

    def _guarded(self) -> Iterator[CodeFinding]:
        for denied in self.denied:
            text = f"not allowed: {one_line(f'{denied.tool} {denied.subject}')}"
            yield CodeFinding("permission", "warning", text)
        for blocked in self.blocked:
            yield CodeFinding("blocked", "warning", f"blocked: {one_line(blocked.subject)}")


def places(output: str, root: Path) -> Sequence[tuple[str, int]]:
    """The files of the workspace that a program's output names, with lines, the innermost first."""
    found: dict[tuple[str, int], None] = {}
    for name, line in reversed(frames(output)):
        path = Path(name)
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        if not inside.is_absolute() and ".." not in inside.parts and (root / inside).is_file():
            found[(inside.as_posix(), line)] = None
    return list(found)


def said_about(output: str, path: str, line: int) -> str:
    """The text that the output has after a place, such as "AssertionError"; "" if none."""
    match = re.search(rf"{re.escape(path)}:{line}(?::\d+)?:? *(\S.*)", output)
    return one_line(match[1]) if match else ""
