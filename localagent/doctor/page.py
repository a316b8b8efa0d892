"""The page that an administrator can file: what was tested, how, on which versions, and the
result. Markdown, without anything that a reader's program would load."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from localagent import __version__
from localagent.doctor.airgap import Check
from localagent.doctor.report import Part

_END = """\
`localagent docs threat-model` says what each part is for, what is not protected, and how to repeat
the test with a packet capture. To repeat this one: `localagent doctor --airgap`, in the same
folder, as the same user; exit code 0 only if every part holds."""
# By the beginning of a part's name: how it was tested.
_HOW = {
    "process": "asked how the kernel holds localagent's own process, which locks itself as it "
    "starts, before it reads anything of a project",
    "destinations": "read the list of addresses that this process may dial, fixed since it began, "
    "and the setting `ollama_host`",
    "fetching": "read the administrator's policy",
    "sandbox": "chose a sandbox as a run does, by running a test command in it",
    "canaries": "made every attempt that is listed at the end from a command inside, against "
    "targets that were set up for it (servers, sockets, files, processes), and looked from outside "
    "whether one was reached",
    "model process": "started the model's process and asked which network it was left with",
    "model": "read every byte of the file and compared its sha256, and that of the chat template "
    "in it, with models.lock; a model of Ollama's: asked the server for digest and template",
    "audit log": "computed the hash of every record anew",
}


def page(checks: Sequence[Check], parts: Sequence[Part], directory: Path) -> str:
    """The report; `parts` tell of the machine and its versions, `directory` is where it was."""
    held = all(check.holds for check in checks)
    verdict = "Every part of the guarantee holds" if held else "NOT every part holds"
    lines = ["# localagent: does anything leave this machine?", "", f"**{verdict}.**", ""]
    lines += [
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in _about(directory)),
    ]
    lines += ["", "## What was tested, and how", ""]
    lines += ["| part | result | found | how it was tested |", "|---|---|---|---|"]
    for check in checks:
        result = "holds" if check.holds else "**FAILS**"
        cells = (check.name, result, _cell(check.found), _how(check.name))
        lines.append(f"| {' | '.join(cells)} |")
    mends = [f"- {check.name}: {check.mend}" for check in checks if not check.holds and check.mend]
    lines += ["", "### To do", "", *mends] if mends else []
    lines += ["", _END]
    for part in parts:
        lines += ["", f"## {part.name}", "", *(f"    {line}" for line in part.lines)]
        lines += [f"    problem: {problem.what}" for problem in part.problems]
    for check in checks:
        if check.tried:
            lines += ["", f"## {check.name}: every attempt", ""]
            lines += [f"    {line}" for line in check.tried]
    return "\n".join(lines) + "\n"


def _about(directory: Path) -> list[tuple[str, str]]:
    """When, where, as whom and of which versions."""
    return [
        ("when", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("machine", platform.node() or "not named"),
        ("user", _user()),
        ("folder", str(directory.resolve())),
        ("localagent", __version__),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
    ]


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # nobody that this machine knows
        name = "without a name"
    return f"{name} (uid {os.geteuid()})" if hasattr(os, "geteuid") else name


def _how(name: str) -> str:
    beginning = max((known for known in _HOW if name.startswith(known)), key=len)
    return _HOW[beginning]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
