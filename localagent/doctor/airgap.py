"""The parts of the guarantee that nothing leaves this machine, each tried out: `doctor --airgap`.

Every part is a `Check`. All have to hold; what does not says what to do. docs/threat-model.md says
what each of them is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localagent.config.policy import Policy
from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError
from localagent.core.loopback import is_loopback
from localagent.doctor.sandboxes import Kind, kinds, mend, selectable, tried_lines
from localagent.egress import EgressState
from localagent.egress import lock as egress
from localagent.history.audit.verify import verify
from localagent.models.catalog import lock, store
from localagent.models.catalog.lock import ModelEntry
from localagent.models.llamacpp.process import library
from localagent.models.ollama import pinning
from localagent.models.ollama.transport import checked_host
from localagent.project.project import Project
from localagent.sandbox.select import choose


@dataclass(frozen=True, slots=True)
class Check:
    """One part: whether it holds, what was found, and what to do where it does not. `tried` are the
    attempts that were made, as "name: what came of it"."""

    name: str
    holds: bool
    found: str
    mend: str = ""
    tried: tuple[str, ...] = ()


def airgap(directory: Path) -> list[Check]:
    """All parts, tried for a run in `directory`; takes some seconds, and reads the models' files.

    Raises ConfigError, WorkspaceError, LockError.
    """
    settings = Project.open(directory).settings
    state = egress.state()
    entries = _entries(settings)
    checks = [
        process(state),
        destinations(state, settings.ollama_host),
        fetching(settings.policy),
        *_commands(settings),
    ]
    if any(entry.backend == "llamacpp" for entry in entries):
        checks.append(_worker())
    checks += [_pinned(entry, settings) for entry in entries]
    return [*checks, audit(settings)]


def process(state: EgressState) -> Check:
    """Whether the kernel holds localagent's own process."""
    mend = "allow user namespaces on this machine, or use a kernel with Landlock (6.7 or later)"
    found = f"{state}{f' ({state.reason})' if state.reason else ''}"
    return Check("process", state.by_kernel, found, mend)


def destinations(state: EgressState, host: str) -> Check:
    """Whether only this machine can be dialled, and the setting ollama_host (`host`) means it."""
    mend = "take the host out of ollama_host and of allowed_hosts in the policy"
    far = [str(place) for place in state.destinations if not _is_here(place.host)]
    if far:
        return Check("destinations", False, f"another machine is dialled: {', '.join(far)}", mend)
    try:
        checked_host(host)
    except LocalAgentError as error:
        return Check(
            "destinations", False, f"ollama_host is no address here: {error.message}", mend
        )
    near = ", ".join(map(str, state.destinations))
    found = near or "none: no address is ever dialled"
    if state.ports:
        ports = ", ".join(map(str, state.ports))
        found += f"; commands may reach what listens at {ports} of this machine (sandbox_ports)"
    return Check("destinations", True, found)


def fetching(policy: Policy) -> Check:
    """Whether `models fetch`, the one command that uses the network, is refused."""
    mend = "put offline = true into /etc/localagent/policy.toml"
    if policy.offline:
        return Check("fetching", True, f"refused by the policy {policy}")
    return Check("fetching", False, "localagent models fetch may use the network", mend)


def canaries(kind: Kind) -> Check:
    """Whether every attempt to get out of one kind of sandbox was denied."""
    name, made, out = f"canaries {kind.name}", len(kind.canaries), kind.out
    tried = tried_lines(kind.canaries)
    if not made:
        return Check(name, False, f"the attempts could not be made: {kind.reason}", mend(kind))
    if out:
        said = "; ".join(f"{canary.what} ({canary.detail})" for canary in out[:5])
        found = f"{len(out)} of {made} attempts got out of {kind.name}: {said}"
        return Check(name, False, found, mend(kind), tried)
    return Check(name, True, f"{made} attempts to get out of it, all denied", "", tried)


def worker(network: str) -> Check:
    """Whether the model's process has no network; `network` as it says itself."""
    said = "none" if network == "none" else "it is not kept from the network"
    mend = "allow user namespaces on this machine (localagent docs sandbox)"
    return Check("model process", network == "none", said, mend)


def audit(settings: Settings) -> Check:
    """Whether there is an audit log, and it is as it was written."""
    if settings.audit == "off":
        mend = "localagent config set audit hashes"
        return Check("audit log", False, "switched off by the setting audit", mend)
    checked = verify()
    if not checked.intact:
        return Check("audit log", False, "changed since it was written", "localagent audit verify")
    return Check("audit log", True, f"{checked.sessions} sessions, as they were written")


def _commands(settings: Settings) -> list[Check]:
    """The sandbox of commands, and what each kind that a user can choose really denies."""
    found = [kind for kind in kinds(settings, canaries=True) if kind.works and kind.selectable]
    tried = [canaries(kind) for kind in found]
    try:
        choice = choose(settings.sandbox, settings.policy.sandboxes)
    except LocalAgentError as error:
        return [Check("sandbox", False, error.message, error.hint), *tried]
    chosen = choice.sandbox
    if not chosen.confined:
        mend = "localagent docs sandbox says what a sandbox needs"
        return [Check("sandbox", False, f"none: {choice.reason}", mend), *tried]
    others = [kind.name for kind in found if kind.name != chosen.kind]
    if "none" in selectable(settings):
        others.append("none, where every command asks (sandboxes = […] in the policy forbids it)")
    also = f"; a user can also choose {', '.join(others)}" if others else ""
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
    """Whether a model is the pinned one: every byte of its file is read; Ollama is asked for the
    digest, and whether the model is one of a cloud."""
    name = f"model {entry.id}"
    try:
        if entry.file:
            store.path_for(entry, deep=True)
        else:
            pinning.verify(entry, settings.ollama_host, settings.policy.allowed_hosts)
    except LocalAgentError as error:
        return Check(name, False, error.message, error.hint)
    template = entry.chat_template_sha256 or "none pinned"
    return Check(name, True, f"as pinned: {entry.pin}, chat template {template}")


def _is_here(host: str) -> bool:
    return host == "localhost" or is_loopback(host)
