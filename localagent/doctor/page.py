"""The page that an administrator can file: what was tested, how, on which versions, and the
result. Markdown, without anything that a reader's program would load."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from localagent.doctor.airgap import Check
from localagent.doctor.report import Part

_HOW = """\
How it was tested: `localagent doctor --airgap` looked at the lock of its own process, chose the
sandbox as a run does and made in it every attempt that is listed below, asked the model's process
whether it has a network, read each model's file and compared its sha256 with models.lock, and
checked the audit log's hashes. `localagent docs threat-model` says what each part is for, what is
not protected, and how to repeat it with a packet capture."""


def page(checks: Sequence[Check], parts: Sequence[Part]) -> str:
    """The report; `parts` tell of the machine and its versions."""
    held = all(check.holds for check in checks)
    verdict = "every part of the guarantee holds" if held else "NOT every part holds"
    lines = ["# localagent: does anything leave this machine?", ""]
    lines += [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. **{verdict}.**", "", _HOW, ""]
    lines += ["| part | result | found |", "|---|---|---|"]
    for check in checks:
        result = "holds" if check.holds else "FAILS"
        lines.append(f"| {check.name} | {result} | {_cell(check.found)} |")
    mends = [f"- {check.name}: {check.mend}" for check in checks if not check.holds and check.mend]
    lines += ["", "## To do", "", *mends] if mends else []
    for part in parts:
        lines += ["", f"## {part.name}", "", *(f"    {line}" for line in part.lines)]
        lines += [f"    problem: {problem.what}" for problem in part.problems]
    for check in checks:
        if check.tried:
            lines += ["", f"## {check.name}: every attempt", ""]
            lines += [f"    {line}" for line in check.tried]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
