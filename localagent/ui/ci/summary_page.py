"""The summary of a run as Markdown, for the page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator

from localagent.ui.ci.report import RunReport
from localagent.ui.export.markdown import folded, harmless, harmless_line
from localagent.ui.view.format import check_result, count, duration
from localagent.ui.view.sanitize import one_line

_SIGNS = {True: "✅", False: "❌"}
_MAX_BYTES = 500_000
"""GitHub takes up to 1 MiB for the summaries of a step."""


def summary_page(report: RunReport) -> str:
    """The whole page: the outcome, the facts, the diff, and the output of a failing check."""
    text = "\n".join(_lines(report)) + "\n"
    data = text.encode("utf-8", "replace")
    if len(data) <= _MAX_BYTES:
        return text
    short = RunReport(**{**vars(report), "checks": [], "changes": []})
    return "\n".join([*_lines(short), "", "The diff is too long for this page."]) + "\n"


def _lines(report: RunReport) -> Iterator[str]:
    yield f"## {_SIGNS[report.passed]} localagent: {report.outcome}"
    yield ""
    if report.prompt:
        yield f"> {_cell(report.prompt)}"
        yield ""
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {_cell(value)} |" for name, value in _facts(report) if value)
    end = report.end
    if end and end.outcome == "answered" and end.summary:
        yield ""
        yield harmless(end.summary)
    for change in report.changes:
        yield ""
        yield from folded(f"changed {change.path}", change.diff, "diff")
    last = report.checks[-1] if report.checks else None
    if last is not None and not last.ok:
        yield ""
        yield from folded(f"output of {last.command}", last.output, "text")


def _facts(report: RunReport) -> Iterator[tuple[str, str]]:
    end, started = report.end, report.started
    if not report.passed:
        yield "reason", report.summary
    if report.failure:
        yield "hint", report.failure.hint
    if report.checks:
        last = report.checks[-1]
        yield "check", f"{last.command}: {check_result(last)}"
    if end:
        yield "changed", ", ".join(end.changed)
        yield "sources", ", ".join(end.sources)
        read = end.prompt_tokens - end.reused_tokens
        tokens = f"{count(read, 'token')} read, {end.completion_tokens:,} written"
        yield "took", f"{duration(end.seconds)}; {tokens}"
    if started:
        yield "model", f"{started.model} ({started.planner})"
        yield "sandbox", started.sandbox
        yield "session", started.session
    yield "denied", ", ".join(f"{each.tool} {each.subject}" for each in report.denied)
    yield "blocked", ", ".join(each.subject for each in report.blocked)
    yield "warnings", "; ".join(report.warnings)


def _cell(text: str) -> str:
    return harmless_line(one_line(text, 1000)).replace("|", "\\|")
