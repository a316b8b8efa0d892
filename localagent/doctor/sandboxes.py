"""The doctor's part on sandboxes: which kinds work here, which is used, and what each denies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from localagent.config.settings import Settings
from localagent.core.errors import LocalAgentError
from localagent.doctor.report import DoctorProblem, Section
from localagent.egress import Level, lock
from localagent.sandbox.select import KINDS, REQUIREMENTS, ProbeCache, choose
from localagent.selftest.runner import HELD, EscapeResult, run_escape_tests

_COUNTED = "commands have no network, and localagent counts their attempts"
_OFFLINE = "commands have no network, but can read and change your files"
_TESTED = KINDS[:-1]  # "none" holds nothing


@dataclass(frozen=True, slots=True)
class KindReport:
    """A kind of sandbox on this machine.

    `reason` says why the sandbox does not work or could not be tested. `selectable` is False if the
    policy forbids the sandbox.
    """

    name: str
    works: bool
    selectable: bool
    reason: str = ""
    canaries: tuple[EscapeResult, ...] = ()

    @property
    def out(self) -> tuple[EscapeResult, ...]:
        """The escape tests that got out of the sandbox, although this kind promises to hold."""
        held = HELD.get(self.name)
        return tuple(c for c in self._not_denied if held is None or c.topic in held)

    @property
    def open(self) -> dict[str, int]:
        """The number of attempts that succeed in each topic that this kind does not hold."""
        held = HELD.get(self.name, ())
        return Counter(c.topic for c in self._not_denied if held and c.topic not in held)

    @property
    def _not_denied(self) -> list[EscapeResult]:
        return [canary for canary in self.canaries if not canary.denied]


def kinds(settings: Settings, *, canaries: bool) -> list[KindReport]:
    """Probe every kind of sandbox except "none"; with `canaries`, run its escape tests."""
    tried = ProbeCache.read()
    return [_kind(name, tried, settings, canaries) for name in _TESTED]


def selectable(settings: Settings) -> tuple[str, ...]:
    """The kinds of sandbox that the policy lets a user choose; "none" may be one of them."""
    policy = settings.policy
    locked = [table["sandbox"] for table in policy.settings.values() if "sandbox" in table]
    if locked and locked[-1] != "auto":
        return (str(locked[-1]),)
    return policy.sandboxes or KINDS


def sandbox_part(settings: Settings, *, canaries: bool) -> Section:
    """The part on the sandbox for commands, the other kinds, and the results of escape tests."""
    found = kinds(settings, canaries=canaries)
    chosen, lines, problems = _chosen(settings)
    lines += [_line(kind, canaries=canaries) for kind in found]
    problems += [_leak(kind) for kind in found if kind.out]
    rows = [{**asdict(kind), "chosen": kind.name == chosen["kind"]} for kind in found]
    data = {**chosen, "selectable": selectable(settings), "kinds": rows}
    return Section("sandbox", tuple(lines), tuple(problems), data)


def _kind(name: str, tried: ProbeCache, settings: Settings, canaries: bool) -> KindReport:
    allowed = name in selectable(settings)
    base, reason = tried.base(name, retry=True)
    if base is None:
        return KindReport(name, False, allowed, reason)
    if not canaries:
        return KindReport(name, True, allowed)
    try:
        return KindReport(name, True, allowed, canaries=tuple(run_escape_tests(name)))
    except LocalAgentError as error:
        return KindReport(name, True, allowed, error.message)


def _chosen(settings: Settings) -> tuple[dict[str, object], list[str], list[DoctorProblem]]:
    """The kind of sandbox that a run would use, as data, lines and problems."""
    try:
        choice = choose(settings.sandbox, settings.policy.sandboxes)
    except LocalAgentError as error:
        return {"kind": None}, [], [DoctorProblem(error.message, error.hint)]
    chosen = choice.sandbox
    data: dict[str, object] = {
        "kind": chosen.kind,
        "confined": chosen.confined,
        "reason": choice.reason,
    }
    if chosen.confined:
        said = (
            f"{chosen.kind}: commands have no network and write only to an overlay of the workspace"
        )
        return data, [said], []
    if chosen.kind == "seccomp":
        problem = DoctorProblem(
            f"the kernel hides no files from commands: {choice.reason}; localagent asks before "
            "each command",
            "localagent docs sandbox says what a sandbox needs",
            fatal=False,
        )
        return data, [f"seccomp: {_OFFLINE}"], [problem]
    data["unseen"] = unseen(lock.state().level)
    problem = DoctorProblem(
        f"commands run without a sandbox: {choice.reason}; localagent asks before each command",
        "localagent docs sandbox says what a sandbox needs",
        fatal=False,
    )
    return data, [f"none: {data['unseen'] or _COUNTED}"], [problem]


def unseen(level: Level) -> str:
    """What the audit log cannot record of commands without a sandbox.

    "" if the egress lock's `level` lets localagent count their connections to other machines.
    """
    if level == "namespace":
        return ""
    if level in ("landlock", "seccomp"):
        return (
            "the kernel denies commands the network, but does not count their attempts, so the "
            "audit log does not record them"
        )
    return "commands can use the network, and nothing records it"


def _line(kind: KindReport, *, canaries: bool) -> str:
    """The result for one kind, such as "unshare works; 169 escape tests, all denied"."""
    banned = "" if kind.selectable else " (the policy forbids it)"
    if not kind.works:
        return f"{kind.name}{banned} does not work here: {kind.reason}; {REQUIREMENTS[kind.name]}"
    if not canaries:
        return f"{kind.name}{banned} works"
    if not kind.canaries:
        return f"{kind.name}{banned} works, but its escape tests could not run: {kind.reason}"
    return f"{kind.name}{banned} works; {escape_summary(kind)}"


def escape_summary(kind: KindReport) -> str:
    """The results of the escape tests, such as "169 escape tests, all denied"."""
    opened = sum(kind.open.values())
    denied = f"{len(kind.out)} got out" if kind.out else "all denied"
    line = f"{len(kind.canaries) - opened} escape tests, {denied}"
    if not opened:
        return line
    topics = ", ".join(f"{count} of {topic}" for topic, count in kind.open.items())
    return f"{line}; {opened} others succeed, because this kind does not hold them: {topics}"


def _leak(kind: KindReport) -> DoctorProblem:
    said = "; ".join(f"{canary.what} ({canary.detail})" for canary in kind.out[:5])
    return DoctorProblem(
        f"{len(kind.out)} escape tests got out of {kind.name}: {said}", leak_hint(kind)
    )


def leak_hint(kind: KindReport) -> str:
    """The advice for a kind of sandbox from which an escape test got out."""
    return (
        f"forbid {kind.name}: sandboxes = [the other kinds] in the policy, or choose another kind "
        "with the setting sandbox; and report the escape to localagent's developers"
    )


def tried_lines(canaries: Sequence[EscapeResult]) -> tuple[str, ...]:
    """One line for each escape test: "denied  description (name): the kernel's answer"."""
    results = {True: "denied ", False: "GOT OUT"}
    return tuple(f"{results[c.denied]}  {c.what} ({c.name}): {c.detail}" for c in canaries)
