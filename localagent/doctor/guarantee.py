"""The egress lock, the administrator's policy and the audit log, as `doctor` shows them."""

from __future__ import annotations

from localagent.config import policy as policies
from localagent.config.settings import Settings
from localagent.doctor.report import Part, Problem
from localagent.egress import lock
from localagent.history.audit.log import audit_dir
from localagent.history.audit.verify import verify

_UNLOCKED = "allow user namespaces on this machine, or use a kernel with Landlock (6.7 or later)"


def egress_part() -> Part:
    """How this process is kept from the network, and what it may dial."""
    state = lock.state()
    places = [str(place) for place in state.destinations]
    lines = [f"localagent's own process: {state}" + (f" ({state.reason})" if state.reason else "")]
    lines.append(f"may dial: {', '.join(places) or 'nothing'}")
    if places:
        lines.append(
            "(a session has this egress proxy only where models.lock has a model of Ollama's)"
        )
    data = {
        "level": state.level,
        "by_kernel": state.by_kernel,
        "destinations": places,
        "why": state.reason,
    }
    if state.by_kernel:
        return Part("egress lock", tuple(lines), (), data)
    problem = Problem("the kernel does not hold localagent's process", _UNLOCKED, fatal=False)
    return Part("egress lock", tuple(lines), (problem,), data)


def policy_part(settings: Settings) -> Part:
    """What the administrator's policy says, and which settings it locks, by which file."""
    policy = settings.policy
    locked = [
        {"key": key, "value": value, "file": str(file)}
        for file, table in policy.settings.items()
        for key, value in table.items()
    ]
    lines = [f"{file}: {_read(file in policy.files)}" for file in policies.places()]
    if policy.files:
        lines.append(f"offline: {'yes, models fetch is refused' if policy.offline else 'no'}")
        lines.append(f"hosts beyond this machine: {', '.join(policy.allowed_hosts) or 'none'}")
        lines.append(f"sandboxes: {', '.join(policy.sandboxes) or 'any, and none'}")
    lines += [_locked(row) for row in locked]
    data = {
        "files": [str(file) for file in policy.files],
        "offline": policy.offline,
        "allowed_hosts": policy.allowed_hosts,
        "sandboxes": policy.sandboxes,
        "locked": locked,
    }
    return Part("policy", tuple(lines), (), data)


def audit_part(settings: Settings) -> Part:
    """Whether an audit log is kept, how long, and whether it is as it was written."""
    days = f"{settings.audit_days} days" if settings.audit_days else "for ever"
    size = f"{settings.audit_bytes:,} bytes" if settings.audit_bytes else "any size"
    data: dict[str, object] = {"setting": settings.audit, "folder": str(audit_dir())}
    if settings.audit == "off":
        said = f"switched off by {settings.source('audit')}"
        problem = Problem("no audit log is kept", "localagent config set audit hashes", fatal=False)
        return Part("audit log", (said,), (problem,), data)
    checked = verify()
    lines = [
        f"{audit_dir()}: {settings.audit} of prompts, kept {days}, of {size} at most",
        f"{checked.sessions} sessions",
    ]
    data |= {"sessions": checked.sessions, "intact": checked.intact}
    if checked.intact:
        return Part("audit log", tuple(lines), (), data)
    problem = Problem("it was changed since it was written", "localagent audit verify", fatal=False)
    return Part("audit log", tuple(lines), (problem,), data)


def _read(read: bool) -> str:
    return "in force" if read else "not there"


def _locked(row: dict[str, object]) -> str:
    value = row["value"]
    said = f"{len(value)} rules" if isinstance(value, list | tuple) and value else repr(value)
    if row["key"] != "permissions":
        said = repr(value)
    return f"locked: {row['key']} = {said}, by {row['file']}"
