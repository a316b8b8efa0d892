"""`doctor --airgap`: test each part of the guarantee that nothing leaves this machine.

The guarantee holds if every `Check` holds. `page` writes the report for an administrator.
docs/threat-model.md explains each part.
"""

from __future__ import annotations

import getpass
import os
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localagent import __version__
from localagent.config.policy import Policy
from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError
from localagent.core.interpreter import plain_python
from localagent.core.isolation import PROGRAM, before_lock
from localagent.core.loopback import is_loopback
from localagent.doctor.report import Section
from localagent.doctor.sandboxes import KindReport, kinds, leak_hint, selectable, tried_lines
from localagent.egress import EgressState
from localagent.egress import lock as egress
from localagent.history.audit.verify import verify
from localagent.models import verify_on_server
from localagent.models.catalog import lock, verification
from localagent.models.catalog.lock import ModelEntry
from localagent.models.llamacpp.process import library
from localagent.models.server.address import checked_host
from localagent.project.project import Project
from localagent.sandbox.select import choose


@dataclass(frozen=True, slots=True)
class Check:
    """The result for one part of the guarantee.

    `found` describes what was found, and `hint` says what to do if the part does not hold.
    `attempts` has one line for each escape test.
    """

    name: str
    holds: bool
    found: str
    hint: str = ""
    attempts: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The result under the keys of the output with `--json`."""
        return {
            "name": self.name,
            "holds": self.holds,
            "found": self.found,
            "mend": self.hint,
            "tried": self.attempts,
        }


def airgap(directory: Path, *, escapes: bool = True) -> list[Check]:
    """Test all parts of the guarantee for a run in `directory`.

    This takes some seconds, because it runs the escape tests (unless `escapes` is false) and reads
    the model files.

    Raises ConfigError, WorkspaceError, LockError.
    """
    settings = Project.open(directory).settings
    state = egress.state()
    entries = _entries(settings)
    checks = [
        process(state),
        start(before_lock(), egress.network_streams()),
        destinations(state, settings.ollama_host),
        fetching(settings.policy),
        *_commands(settings, escapes=escapes),
    ]
    if any(entry.backend == "llamacpp" for entry in entries):
        checks.append(_worker())
    checks += [_pinned(entry, settings) for entry in entries]
    return [*checks, audit(settings)]


def process(state: EgressState) -> Check:
    """Check that the kernel confines localagent's own process."""
    hint = "allow user namespaces on this machine, or use Linux on x86-64 or 64-bit ARM"
    found = f"{state}{f' ({state.reason})' if state.reason else ''}"
    if state.level == "namespace" and hasattr(os, "geteuid") and os.geteuid() == 0:
        found += "; you are root, who can leave a network namespace again"
        return Check("process", False, found, "run localagent as an ordinary user")
    return Check("process", state.by_kernel, found, hint)


def start(reasons: Sequence[str], streams: Sequence[str] = ()) -> Check:
    """Check that no code of others runs before the lock, and that no stream leads out of it.

    `reasons` are files with such code, folders, and variables that name such code; `streams` are
    the standard streams that are connected to a network.
    """
    found, hints = [], []
    if reasons:
        found.append(
            "Python ran or loaded code of others before localagent locked itself, and programs "
            f"that it started may still run: {', '.join(reasons)}"
        )
        command = shlex.join(plain_python(PROGRAM))
        hints.append(f"install localagent alone in a virtual environment, or start {command}")
    if streams:
        found.append(f"connected to a network: {', '.join(streams)}")
        hints.append("start localagent in a terminal")
    if found:
        return Check("start", False, "; ".join(found), "; ".join(hints))
    return Check("start", True, "no code of packages runs before localagent locks itself")


def destinations(state: EgressState, host: str) -> Check:
    """Check that this process may connect only to this machine.

    `host` is the setting ollama_host.
    """
    hint = "remove the host from ollama_host, from models.lock, and from the policy's allowed_hosts"
    far = [str(place) for place in state.destinations if not _is_here(place.host)]
    if far:
        return Check(
            "destinations",
            False,
            f"localagent may connect to another machine: {', '.join(far)}",
            hint,
        )
    try:
        checked_host(host)
    except LocalAgentError as error:
        return Check(
            "destinations", False, f"ollama_host is not on this machine: {error.message}", hint
        )
    near = ", ".join(map(str, state.destinations))
    found = near or "none: localagent connects to no address"
    if state.ports:
        ports = ", ".join(map(str, state.ports))
        found += f"; commands may connect to ports {ports} of this machine (sandbox_ports)"
    return Check("destinations", True, found)


def fetching(policy: Policy) -> Check:
    """Check that a policy refuses `models fetch`, the only command that uses the network.

    Without a policy the user decides, so the part holds as long as nobody runs that command.
    """
    hint = "set offline = true in /etc/localagent/policy.toml"
    if policy.offline:
        return Check("fetching", True, f"refused by the policy {policy}")
    only = "localagent models fetch may use the network, when a user runs it"
    if not policy.files:
        return Check("fetching", True, f"only {only} (to forbid this, {hint})")
    return Check("fetching", False, f"the policy allows it: {only}", hint)


_UNTESTED = "nothing got out, but nothing was tested: repair the cause, then run this again"


def canaries(kind: KindReport) -> Check:
    """Check that one kind of sandbox denied every escape test."""
    name, made, out = f"canaries {kind.name}", len(kind.canaries), kind.out
    tried = tried_lines(kind.canaries)
    if not made:
        return Check(name, False, f"the escape tests could not run: {kind.reason}", _UNTESTED)
    if out:
        said = "; ".join(f"{canary.what} ({canary.detail})" for canary in out[:5])
        found = f"{len(out)} of {made} escape tests got out of {kind.name}: {said}"
        return Check(name, False, found, leak_hint(kind), tried)
    opened = sum(kind.open.values())
    held = f"{made - opened} escape tests, all denied"
    topics = " and ".join(kind.open)
    others = f"; this kind does not hold {topics}: {opened} succeed" if opened else ""
    return Check(name, True, f"{held}{others}", "", tried)


def worker(network: str) -> Check:
    """Check that the model process has no network; `network` is what the process reports."""
    said = "it has no network" if network == "none" else "the process has network access"
    hint = "allow user namespaces on this machine (localagent docs sandbox)"
    return Check("model process", network == "none", said, hint)


def audit(settings: Settings) -> Check:
    """Check that the audit log is on and unchanged."""
    if settings.audit == "off":
        hint = "localagent config set audit hashes"
        return Check("audit log", False, "the setting audit is off", hint)
    checked = verify()
    if not checked.intact:
        return Check("audit log", False, "the log has been changed", "localagent audit verify")
    return Check("audit log", True, f"unchanged; sessions: {checked.sessions}")


def _commands(settings: Settings, *, escapes: bool) -> list[Check]:
    """Check the sandbox for commands, and every other kind of sandbox that users may choose."""
    found = [kind for kind in kinds(settings, canaries=escapes) if kind.works and kind.selectable]
    tried = [canaries(kind) for kind in found] if escapes else []
    try:
        choice = choose(settings.sandbox, settings.policy.sandboxes)
    except LocalAgentError as error:
        return [Check("sandbox", False, error.message, error.hint), *tried]
    chosen = choice.sandbox
    if not chosen.confined:
        hint = "localagent docs sandbox says what a sandbox needs"
        found_text = f"{chosen.kind}: {choice.reason}"
        if chosen.kind == "seccomp":
            found_text = f"no network for commands, but your files are open ({found_text})"
        return [Check("sandbox", False, found_text, hint), *tried]
    others = [k.name for k in found if k.name not in (chosen.kind, "seccomp")]
    also = f"; users may switch to {', '.join(others)}" if others else ""
    if "none" in selectable(settings):
        also += (
            "; users may switch the sandbox off, and localagent then asks before each command (to "
            "forbid this, list the allowed sandboxes in the policy)"
        )
    return [Check("sandbox", True, f"{chosen.kind}{also}"), *tried]


def _worker() -> Check:
    try:
        return worker(library().network)
    except LocalAgentError as error:
        return Check("model process", False, error.message, error.hint)


def _entries(settings: Settings) -> list[ModelEntry]:
    """The models that the settings name."""
    known = lock.load()
    main = known.entry(settings.model)
    names = dict.fromkeys((main.id, *settings.roles.values(), *settings.fallback))
    return [known.entry(name) for name in names]


def _pinned(entry: ModelEntry, settings: Settings) -> Check:
    """Check that a model is the pinned one, by its file's hash or by its server's report."""
    name = f"model {entry.id}"
    try:
        if entry.file:
            verification.path_for(entry, deep=True)
        else:
            verify_on_server(entry, settings)
    except LocalAgentError as error:
        return Check(name, False, error.message, error.hint)
    template = entry.chat_template_sha256 or "none pinned"
    return Check(name, True, f"as pinned: {entry.pin}, chat template {template}")


def _is_here(host: str) -> bool:
    return host == "localhost" or is_loopback(host)


_END = """\
`localagent docs threat-model` explains each part, lists what is not protected, and shows how to
repeat the test with a packet capture. To repeat this test, run `localagent doctor --airgap` in the
same folder as the same user. Its exit code is 0 only if every part holds."""
# How each part was tested, by the start of the part's name.
_HOW = {
    "process": "read how the kernel confines localagent's process; the process locks itself at "
    "start, before it reads a project's files",
    "start": "looked for .pth files with code, sitecustomize and usercustomize in the folders "
    "of packages, for variables that load code, and for streams to a network",
    "destinations": "read the setting `ollama_host`, and the list of addresses to which this "
    "process may connect; the list is fixed at start",
    "fetching": "read the administrator's policy",
    "sandbox": "chose a sandbox as a run does, by running a test command in it",
    "canaries": "ran each escape test listed below in the sandbox, against targets outside "
    "(servers, sockets, files, processes), and checked whether a target was reached",
    "model process": "started the model process and read which network it has",
    "model": "compared the SHA-256 of the whole file and of its chat template with models.lock; "
    "for the model of a server, compared what the server reports of it",
    "audit log": "computed the hash of every record again",
}


def page(checks: Sequence[Check], parts: Sequence[Section], directory: Path) -> str:
    """The report in Markdown. `parts` describe the machine; `directory` is the project's folder."""
    held = all(check.holds for check in checks)
    verdict = "Every part of the guarantee holds" if held else "NOT every part holds"
    lines = ["# localagent: does anything leave this machine?", "", f"**{verdict}.**", ""]
    lines += [
        "| | |",
        "|---|---|",
        *(f"| {name} | {_cell(text)} |" for name, text in _about(directory)),
    ]
    lines += ["", "## What was tested, and how", ""]
    lines += ["| part | result | findings | how it was tested |", "|---|---|---|---|"]
    for check in checks:
        result = "holds" if check.holds else "**FAILS**"
        cells = (check.name, result, _cell(check.found), _how(check.name))
        lines.append(f"| {' | '.join(cells)} |")
    hints = [f"- {check.name}: {check.hint}" for check in checks if not check.holds and check.hint]
    lines += ["", "### To do", "", *hints] if hints else []
    lines += ["", _END]
    for part in parts:
        lines += ["", f"## {part.name}", "", *(f"    {line}" for line in part.lines)]
        lines += [f"    problem: {problem.what}" for problem in part.problems]
    for check in checks:
        if check.attempts:
            lines += ["", f"## {check.name}: every escape test", ""]
            lines += [f"    {line}" for line in check.attempts]
    return "\n".join(lines) + "\n"


def _about(directory: Path) -> list[tuple[str, str]]:
    """Rows with the time, machine, user, folder and versions."""
    return [
        ("when", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("machine", platform.node() or "unnamed"),
        ("user", _user()),
        ("folder", str(directory.resolve())),
        ("localagent", __version__),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
    ]


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user without an entry in passwd
        name = "without a name"
    return f"{name} (uid {os.geteuid()})" if hasattr(os, "geteuid") else name


def _how(name: str) -> str:
    beginning = max((known for known in _HOW if name.startswith(known)), key=len)
    return _HOW[beginning]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
